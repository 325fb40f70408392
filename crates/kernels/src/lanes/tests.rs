//! Every path's lanes do what the portable ones do.

use super::{Lanes, Operation, Portable};
use crate::testing::{Random, all};

/// What every operation makes of some numbers, one after another.
struct Everything([[i16; 32]; 3]);

impl Operation for Everything {
    type Output = Vec<[i64; 16]>;
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Vec<[i64; 16]> {
        let [a, b, c] = self.0.each_ref().map(|x| lanes.load(x));
        let bytes: [u8; 64] = core::array::from_fn(|i| self.0[0][i / 2].to_le_bytes()[i % 2]);
        let eight = bytes.first_chunk().unwrap_or(&[0; 16]);
        let sixteen = bytes.first_chunk().unwrap_or(&[0; 32]);
        let each = [
            lanes.zero(),
            lanes.splat(-123_456_789),
            lanes.load_bytes(&bytes),
            lanes.widen_u8(eight),
            lanes.widen_u16(sixteen),
            lanes.add(a, b),
            lanes.max(a, b),
            lanes.and(a, b),
            lanes.or(a, b),
            lanes.shl16(a, 3),
            lanes.shr16(a, 5),
            lanes.sar16(a, 8),
            lanes.mul16(a, b),
            lanes.sub16(a, b),
            lanes.abs16(a),
            lanes.twice16(a),
            lanes.dot(c, a, b),
        ];
        let mut out: Vec<[i64; 16]> = each
            .into_iter()
            .flat_map(|x| {
                let (mut pairs, mut single, mut spilled) = ([0; 32], [0; 16], [1 << 40; 16]);
                lanes.store(x, &mut pairs);
                lanes.store_lanes(x, &mut single);
                lanes.spill(x, &mut spilled);
                let pairs = core::array::from_fn(|i| {
                    i64::from(pairs[2 * i]) << 32 | i64::from(pairs[2 * i + 1])
                });
                [pairs, single.map(i64::from), spilled]
            })
            .collect();
        let mut wide = [0; 16];
        lanes.wide_store(
            lanes.wide_add(lanes.wide_add(lanes.wide_zero(), a, b), b, c),
            &mut wide,
        );
        out.push(wide);
        lanes.prefetch(&bytes, 1 << 40);
        out
    }
}

#[test]
fn all_paths_agree_on_every_operation() {
    let mut random = Random(7);
    for round in 0..64 {
        let mut numbers = || {
            let extreme = [i16::MIN, i16::MAX, -1, 0, 1];
            core::array::from_fn(|_| match round % 2 {
                0 => random.next() as i16,
                _ => extreme[random.below(5) as usize],
            })
        };
        let numbers = [numbers(), numbers(), numbers()];
        let expected = Everything(numbers).run(Portable);
        for kernels in all() {
            assert_eq!(
                kernels.run(Everything(numbers)),
                expected,
                "{:?}",
                kernels.path()
            );
        }
    }
}
