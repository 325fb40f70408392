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

/// A list of an attribute, one number for each axis; `default` where it is left out.
fn list(node: &Node, name: &str, default: u32, length: usize) -> Result<Vec<u32>, Fault> {
    match node.ints(name) {
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
    }
}

/// What an attribute says of height and width; a series has only a width.
fn both(values: &[u32], height: u32) -> [u32; 2] {
    match *values {
        [width] => [height, width],
        [height, width] => [height, width],
        _ => [0, 0],
    }
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
    let size = match node.ints("kernel_shape") {
        Some(_) => list(node, "kernel_shape", 1, axes)?,
        None => kernel.iter().map(|extent| *extent as u32).collect(),
    };
    let stride = list(node, "strides", 1, axes)?;
    let dilation = list(node, "dilations", 1, axes)?;
    let mut numbers = size.iter().chain(&stride).chain(&dilation);
    if size.len() != axes || !numbers.all(|n| (1..=MAX_WINDOW).contains(n)) {
        return Err(Fault::Shape("its window is empty or too large".into()));
    }
    let extents: Vec<u32> = shape[2..].iter().map(|extent| *extent as u32).collect();
    let reach = size.iter().zip(&dilation);
    let reach: Vec<u64> = reach
        .map(|(size, gap)| u64::from(size - 1) * u64::from(*gap) + 1)
        .collect();
    let along = Along {
        extents: &extents,
        stride: &stride,
        reach: &reach,
    };
    let mut pads = along.pads(node)?;
    let raised = match node.int("ceil_mode", 0) {
        0 => vec![0; axes],
        _ => along.raised(&mut pads),
    };
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

/// What padding depends on, for each axis.
struct Along<'a> {
    extents: &'a [u32],
    stride: &'a [u32],
    /// Elements from the first to the last under a window.
    reach: &'a [u64],
}

impl Along<'_> {
    /// Padding before each axis, then after each.
    fn pads(&self, node: &Node) -> Result<Vec<u32>, Fault> {
        let axes = self.extents.len();
        let upper = match node.text("auto_pad", "NOTSET") {
            "NOTSET" | "" => return list(node, "pads", 0, 2 * axes),
            "VALID" => return Ok(vec![0; 2 * axes]),
            "SAME_UPPER" => true,
            "SAME_LOWER" => false,
            _ => return Err(Fault::Shape("its auto_pad is none that ONNX knows".into())),
        };
        let mut pads = vec![0; 2 * axes];
        for axis in 0..axes {
            let steps = self.extents[axis].div_ceil(self.stride[axis]).max(1);
            let needed = u64::from(steps - 1) * u64::from(self.stride[axis]) + self.reach[axis];
            let missing = needed.saturating_sub(u64::from(self.extents[axis])) as u32;
            let (less, more) = (missing / 2, missing - missing / 2);
            (pads[axis], pads[axes + axis]) = if upper { (less, more) } else { (more, less) };
        }
        Ok(pads)
    }

    /// Pads so far that a last, partial window fits, as `ceil_mode` wants; gives by how much.
    fn raised(&self, pads: &mut [u32]) -> Vec<u32> {
        let axes = self.extents.len();
        let mut raised = vec![0; axes];
        for axis in 0..axes {
            let (extent, stride) = (u64::from(self.extents[axis]), u64::from(self.stride[axis]));
            let padded = extent + u64::from(pads[axis]) + u64::from(pads[axes + axis]);
            let slack = padded.saturating_sub(self.reach[axis]);
            // A window that would begin in the padding after the picture is left out.
            let begins_inside = slack.next_multiple_of(stride) < extent + u64::from(pads[axis]);
            if slack % stride != 0 && begins_inside {
                raised[axis] = (stride - slack % stride) as u32;
                pads[axes + axis] += raised[axis];
            }
        }
        raised
    }
}
