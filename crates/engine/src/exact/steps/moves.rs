//! Operations that move or choose elements and compute nothing, and decision trees. Each works on one position or row.

use crate::exact::values::{Buffer, Operand};
use og_program::{
    operation::Branch,
    value::{Form, Type},
};

/// Elements in another order: element `i` of the result is `offset + Σ stride·index` of the input.
pub(super) fn view(
    input: &Operand<'_>,
    of: &Type,
    position: usize,
    offset: u32,
    axes: &[(u32, i32)],
    out: &mut Buffer,
) {
    let elements = of.elements();
    let value = input.at(position);
    let start = i64::from(offset);
    if of.form == Form::Index {
        walk(
            value.indices,
            &mut out.indices[position * elements..][..elements],
            start,
            axes,
        );
    } else {
        walk(
            value.mantissas,
            &mut out.mantissas[position * elements..][..elements],
            start,
            axes,
        );
        fixed_exponents(of, position, out);
    }
}

/// Fills `to`, which the extents of `axes` multiply to, outermost first.
fn walk<T: Copy>(from: &[T], to: &mut [T], start: i64, axes: &[(u32, i32)]) {
    let Some(((extent, stride), inner)) = axes.split_first() else {
        to[0] = from[start as usize];
        return;
    };
    let (extent, stride) = (*extent as usize, i64::from(*stride));
    if !inner.is_empty() {
        let length = to.len() / extent;
        for (index, part) in to.chunks_exact_mut(length).enumerate() {
            walk(from, part, start + index as i64 * stride, inner);
        }
    } else if stride == 1 {
        to.copy_from_slice(&from[start as usize..][..extent]);
    } else {
        for (index, to) in to.iter_mut().enumerate() {
            *to = from[(start + index as i64 * stride) as usize];
        }
    }
}

/// The elements of one input after those of the other.
pub(super) fn join(inputs: &[Operand<'_>], of: &Type, position: usize, out: &mut Buffer) {
    let mut at = position * of.elements();
    for input in inputs {
        let value = input.at(position);
        let length = input.of.elements();
        if of.form == Form::Index {
            out.indices[at..][..length].copy_from_slice(value.indices);
        } else {
            out.mantissas[at..][..length].copy_from_slice(value.mantissas);
        }
        at += length;
    }
    fixed_exponents(of, position, out);
}

/// The exponents of a fixed type, for each row.
pub(super) fn fixed_exponents(of: &Type, position: usize, out: &mut Buffer) {
    if let Form::Fixed { exponents, .. } = &of.form {
        let length = of.rows as usize * exponents.len();
        for row in out.exponents[position * length..][..length].chunks_exact_mut(exponents.len()) {
            row.copy_from_slice(exponents);
        }
    }
}

/// The indices of the greatest elements of a row, greatest first, the lower index first where several are equal.
pub(super) fn choose(x: &[i16], out: &mut [u32]) {
    if let [greatest] = out {
        let mut best = 0;
        for (index, m) in x.iter().enumerate() {
            if *m > x[best] {
                best = index;
            }
        }
        *greatest = best as u32;
        return;
    }
    let mut order: Vec<u32> = (0..x.len() as u32).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(x[*index as usize]), *index));
    out.copy_from_slice(&order[..out.len()]);
}

/// The elements that indices name; beyond the last: the last.
pub(super) fn take(x: &[i16], indices: &[u32], out: &mut [i16]) {
    for (out, index) in out.iter_mut().zip(indices) {
        *out = x[(*index as usize).min(x.len() - 1)];
    }
}

/// The sums of the leaves that indices lead to. Nodes lead to later ones, so this ends.
pub(super) fn trees(nodes: &[Branch], roots: &[u32], features: &[u32], sums: &mut [i64]) {
    sums.fill(0);
    for root in roots {
        let mut at = *root as usize;
        loop {
            match nodes[at] {
                Branch::Decision {
                    feature,
                    threshold,
                    below,
                    otherwise,
                } => {
                    let less = features[feature as usize] < threshold;
                    at = if less { below } else { otherwise } as usize;
                }
                Branch::Leaf {
                    output,
                    value,
                    more,
                } => {
                    sums[output as usize] += i64::from(value);
                    if !more {
                        break;
                    }
                    at += 1;
                }
            }
        }
    }
}
