"""Bytes that a compiled program sends, from lines as XLA writes them; nothing is compiled."""

import pytest

from benchmarks import scaling

PROGRAM = """
  %a = f32[4,8]{1,0} all-reduce(%x), channel_id=1, replica_groups=[1,4]<=[4], to_apply=%sum
  %b = (f32[2]{0}, bf16[2,3]{1,0}) all-reduce(%y, %z), replica_groups={{0,1},{2,3}}, to_apply=%sum
  %c = s32[16]{0} all-gather(%w), channel_id=2, replica_groups=[1,4]<=[4], dimensions={0}
  %d = f32[5]{0} reduce-scatter(%v), replica_groups={{0,1,2,3}}, dimensions={0}
  %e = f32[100]{0} all-reduce(%u), replica_groups={{0},{1},{2},{3}}, to_apply=%sum
  %f = f32[3]{0} collective-permute(%t), source_target_pairs={{0,1},{1,0}}
  %g = f32[9]{0} add(%s, %r)
"""


def test_a_ring_sends_what_is_worked_out_by_hand():
    counts, each = scaling.sent(PROGRAM, 4)
    assert counts == {
        "all-reduce": 2,
        "all-gather": 1,
        "reduce-scatter": 1,
        "collective-permute": 1,
    }
    # 2 (n - 1) / n, (n - 1) / n of the result, (n - 1) results; a group of one device sends nothing
    assert [number for _, number in each] == pytest.approx([128 * 1.5, 20, 64 * 0.75, 60, 12])


def test_each_case_is_a_config_that_fits_its_devices():
    for case in scaling.ROWS:
        config = scaling.config_of(case, 8)
        assert config.train.batch_size == 8 * scaling.ROWS[case]
    assert scaling.config_of("two_million", 8).train.head_shards == 8
    assert scaling.config_of("two_million", 512).train.head_shards == 128
