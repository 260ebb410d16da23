"""The datasets as tensorflow-datasets builders."""
