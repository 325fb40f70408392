//! Windows that slide over pictures and series, as attributes of convolutions and pools say. The evaluator and the
//! lowering share this reading of them.

use super::{Fault, graph::Node};
use og_program::operation::Window;

/// Elements of a window, at most.
const MAX_WINDOW: u32 = 1 << 16;

/// A window over the last one or two axes; a series is a picture of height 1.
pub(crate) struct Placed {
    /// The window.
    pub(crate) window: Window,
    /// Extents of the output: as many as the input has beside batch and channels.
    pub(crate) output: Vec<usize>,
    /// Rows or columns that `ceil_mode` added below or right of the declared padding.
    pub(crate) raised: [u32; 2],
}

/// Reads the window of a node whose input has the shape `shape` (batch, channels, then one or two extents). `kernel`
/// is the size if the node has no `kernel_shape`.
pub(crate) fn window(node: &Node, shape: &[usize], kernel: &[usize]) -> Result<Placed, Fault> {
    let axes = shape
        .len()
        .checked_sub(2)
        .filter(|axes| (1..=2).contains(axes));
    let axes = axes.ok_or(Fault::Unsupported(
        "windows slide over one or two axes: batch, channels, (height,) width",
    ))?;
    let both = |values: &[u32], filler: u32| match *values {
        [width] => [filler, width],
        [height, width] => [height, width],
        _ => [0, 0],
    };
    let list = |name: &str, default: u32, length: usize| match node.ints(name) {
        Some(values) if values.len() == length => values
            .iter()
            .map(|value| {
                u32::try_from(*value)
                    .ok()
                    .filter(|value| *value <= MAX_WINDOW)
            })
            .collect::<Option<Vec<u32>>>()
            .ok_or_else(|| Fault::Shape(format!("{name} is negative or too large"))),
        Some(_) => Err(Fault::Shape(format!("{name} has another number of axes"))),
        None => Ok(vec![default; length]),
    };
    let size = match node.ints("kernel_shape") {
        Some(_) => list("kernel_shape", 1, axes)?,
        None => kernel.iter().map(|extent| *extent as u32).collect(),
    };
    let (stride, dilation) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
    let bounded = size
        .iter()
        .chain(&stride)
        .chain(&dilation)
        .all(|n| (1..=MAX_WINDOW).contains(n));
    if size.len() != axes || !bounded {
        return Err(Fault::Shape("its window is empty or too large".into()));
    }
    let extents: Vec<u32> = shape[2..].iter().map(|extent| *extent as u32).collect();
    let reach: Vec<u64> = size
        .iter()
        .zip(&dilation)
        .map(|(size, dilation)| u64::from(size - 1) * u64::from(*dilation) + 1)
        .collect();
    let mut pads = match node.text("auto_pad", "NOTSET") {
        "NOTSET" | "" => list("pads", 0, 2 * axes)?,
        "VALID" => vec![0; 2 * axes],
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            let mut pads = vec![0; 2 * axes];
            for axis in 0..axes {
                let steps = extents[axis].div_ceil(stride[axis]).max(1);
                let needed = u64::from(steps - 1) * u64::from(stride[axis]) + reach[axis];
                let missing = needed.saturating_sub(u64::from(extents[axis])) as u32;
                let (less, more) = (missing / 2, missing - missing / 2);
                let upper = same == "SAME_UPPER";
                pads[axis] = if upper { less } else { more };
                pads[axes + axis] = if upper { more } else { less };
            }
            pads
        }
        _ => return Err(Fault::Shape("its auto_pad is none that ONNX knows".into())),
    };
    let mut raised = vec![0; axes];
    if node.int("ceil_mode", 0) != 0 {
        for axis in 0..axes {
            let padded = u64::from(extents[axis]) + u64::from(pads[axis] + pads[axes + axis]);
            let over = padded.saturating_sub(reach[axis]) % u64::from(stride[axis]);
            let begins = padded
                .saturating_sub(reach[axis])
                .next_multiple_of(u64::from(stride[axis]));
            // A window that would begin in the padding after the picture is left out.
            let begins_inside = begins < u64::from(extents[axis]) + u64::from(pads[axis]);
            if over != 0 && begins_inside {
                raised[axis] = stride[axis] - over as u32;
                pads[axes + axis] += raised[axis];
            }
        }
    }
    let window = Window {
        input: both(&extents, 1),
        size: both(&size, 1),
        stride: both(&stride, 1),
        before: both(&pads[..axes], 0),
        after: both(&pads[axes..], 0),
        dilation: both(&dilation, 1),
    };
    let output = window
        .output()
        .ok_or_else(|| Fault::Shape("its window is larger than its input".into()))?;
    Ok(Placed {
        window,
        output: output[2 - axes..]
            .iter()
            .map(|extent| *extent as usize)
            .collect(),
        raised: both(&raised, 0),
    })
}
