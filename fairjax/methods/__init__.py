"""What is optimised: one module a recipe."""

from fairjax.methods import classify

METHODS = {
    "classify": classify.build,
}
