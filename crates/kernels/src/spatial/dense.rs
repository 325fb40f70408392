//! Matrices of convolutions of all channels, unpacked to meet the windows of a padded picture where they lie.

use super::Picture;
use core::ops::Range;
use og_program::{
    matrix::{BLOCK, Weights},
    operation::Window,
};

/// Elements of a padded picture, at most: as many as a value has. What has more gets the slower kernel.
const MOST_PADDED: usize = 1 << 24;

/// What sums may add up to before what exceeds 16 bits of them is moved elsewhere: 16 bits may be left from before.
const MOST_SUM: i64 = (1 << 31) - (1 << 16);

/// A stretch of a padded picture's line under a window, relative to the window's first element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    /// Pairs of elements. The partner of a last odd one has weights of 0.
    pub(super) pairs: usize,
    /// Whether sums of 32 bits might overflow if they went on behind it.
    pub(super) spills: bool,
}

/// Sixteen pairs of weights, one for each output of a block. Lines of memory are as long.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Pairs(pub(super) [i16; 32]);

/// A matrix whose rows are windows, unpacked to pairs of 16 bits: twice the size of 8-bit weights.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    window: Window,
    channels: usize,
    /// Elements of a line of the padded picture.
    line: usize,
    /// Elements of the padded picture, and one behind it that a run's last pair may reach.
    padded: usize,
    /// Rows of the output in a line of it.
    width: usize,
    pub(super) runs: Vec<Run>,
    /// For two blocks of outputs at a time (the last may be alone) and each pair of a window, a vector for each block.
    pub(super) panels: Vec<Pairs>,
    pub(super) shifts: Vec<[u8; BLOCK]>,
    pub(super) outputs: usize,
    /// No dot product is larger than this in magnitude.
    pub(super) largest_sum: u64,
}

impl Dense {
    /// Unpacks a matrix for pictures whose mantissas have at most the magnitude `largest`. `None` if a weight does not fit
    /// 16 bits, or the padding is huge.
    pub(super) fn new(
        weights: &Weights<'_>,
        window: &Window,
        channels: usize,
        largest: i64,
    ) -> Option<Self> {
        let [height, width] = window.output()?;
        let extent = |axis: usize, places: u32| {
            let last = (places as usize - 1) * window.stride[axis] as usize;
            let reach = (window.size[axis] as usize - 1) * window.dilation[axis] as usize;
            let inside = (window.before[axis] + window.input[axis]) as usize;
            (last + reach + 1).max(inside)
        };
        let line = extent(1, width).checked_mul(channels)?;
        let padded = extent(0, height).checked_mul(line)?.checked_add(1)?;
        if padded > MOST_PADDED {
            return None;
        }
        let outputs = weights.matrix.outputs as usize;
        let shift = |output: usize| weights.shift(output) as u8;
        let shifts = (0..outputs).step_by(BLOCK);
        let mut dense = Self {
            window: window.clone(),
            channels,
            line,
            padded,
            width: width as usize,
            runs: vec![],
            panels: vec![],
            shifts: shifts
                .map(|first| core::array::from_fn(|lane| shift(first + lane)))
                .collect(),
            outputs,
            largest_sum: weights
                .matrix
                .largest_row_sum
                .saturating_mul(largest.unsigned_abs())
                .saturating_mul(
                    1_u64
                        .checked_shl(weights.matrix.largest_shift.into())
                        .unwrap_or(u64::MAX),
                ),
        };
        dense.unpack(&Unpacked::new(weights)?, largest);
        Some(dense)
    }

    /// Fills in runs and panels.
    fn unpack(&mut self, weights: &Unpacked, largest: i64) {
        let mut pairs = vec![];
        let mut sums = vec![0_i64; self.outputs];
        for (start, inputs) in self.lines() {
            let mut run = Run {
                start,
                pairs: 0,
                spills: false,
            };
            for first in inputs.clone().step_by(2) {
                let second = Some(first + 1).filter(|second| *second < inputs.end);
                let products = |output: usize| {
                    let sum = weights.magnitude(output, first)
                        + second.map_or(0, |second| weights.magnitude(output, second));
                    sum * largest
                };
                let mut each = sums.iter().enumerate();
                if each.any(|(output, sum)| sum + products(output) >= MOST_SUM) {
                    // Sums begin anew with this pair.
                    if run.pairs > 0 {
                        self.runs.push(run);
                    }
                    if let Some(last) = self.runs.last_mut() {
                        last.spills = true;
                    }
                    run.start += 2 * run.pairs;
                    run.pairs = 0;
                    sums.fill(0);
                }
                let each = sums.iter_mut().enumerate();
                each.for_each(|(output, sum)| *sum += products(output));
                run.pairs += 1;
                pairs.push((first, second));
            }
            self.runs.push(run);
        }
        let blocks: Vec<usize> = (0..self.shifts.len()).collect();
        for blocks in blocks.chunks(2) {
            for (first, second) in &pairs {
                for block in blocks {
                    let weight = |lane: usize| {
                        let input = if lane.is_multiple_of(2) {
                            Some(*first)
                        } else {
                            *second
                        };
                        input.map_or(0, |input| weights.get(block * BLOCK + lane / 2, input))
                    };
                    self.panels.push(Pairs(core::array::from_fn(weight)));
                }
            }
        }
    }

    /// Where stretches of a window that lie one after another in memory begin, and the inputs of the matrix that they are.
    fn lines(&self) -> Vec<(usize, Range<usize>)> {
        let [height, width] = self.window.size.map(|size| size as usize);
        let [down, right] = self.window.dilation.map(|places| places as usize);
        // Without distances between them, all places of a line are one stretch.
        let (each, places) = if right == 1 {
            (width * self.channels, 1)
        } else {
            (self.channels, width)
        };
        let stretch = |y: usize, x: usize| {
            let first = (y * places + x) * each;
            let start = y * down * self.line + x * right * self.channels;
            (start, first..first + each)
        };
        (0..height)
            .flat_map(|y| (0..places).map(move |x| (y, x)))
            .map(|(y, x)| stretch(y, x))
            .collect()
    }

    /// Appends a picture with zeros around it.
    pub(super) fn pad(&self, picture: Picture<'_>, to: &mut Vec<i16>) {
        let start = to.len();
        to.resize(start + self.padded, 0);
        let [top, left] = self.window.before.map(|before| before as usize);
        let length = self.window.input[1] as usize * self.channels;
        let lines = picture.mantissas.chunks_exact(length.max(1));
        for (y, line) in lines.enumerate() {
            let at = start + (top + y) * self.line + left * self.channels;
            if let Some(to) = to.get_mut(at..at + length) {
                to.copy_from_slice(line);
            }
        }
    }

    /// Elements of a padded picture.
    pub(super) const fn padded(&self) -> usize {
        self.padded
    }

    /// For each row of the output from `first` on, the element of a padded picture where its window begins.
    pub(super) fn corners(&self, first: usize) -> impl Iterator<Item = usize> {
        let [down, right] = self.window.stride.map(|stride| stride as usize);
        let (down, right) = (down * self.line, right * self.channels);
        let (mut y, mut x) = (first / self.width, first % self.width);
        core::iter::from_fn(move || {
            let corner = y * down + x * right;
            x += 1;
            if x == self.width {
                (y, x) = (y + 1, 0);
            }
            Some(corner)
        })
    }
}

/// Weights one by one.
struct Unpacked {
    inputs: usize,
    weights: Vec<i16>,
}

impl Unpacked {
    fn new(weights: &Weights<'_>) -> Option<Self> {
        let inputs = weights.matrix.inputs as usize;
        let each = (0..weights.matrix.outputs as usize)
            .flat_map(|output| (0..inputs).map(move |input| weights.value(output, input)));
        let weights = each.map(i16::try_from).collect::<Result<_, _>>().ok()?;
        Some(Self { inputs, weights })
    }

    /// A weight; 0 beyond the outputs.
    fn get(&self, output: usize, input: usize) -> i16 {
        let weight = self.weights.get(output * self.inputs + input);
        weight.copied().unwrap_or(0)
    }

    fn magnitude(&self, output: usize, input: usize) -> i64 {
        i64::from(self.get(output, input)).abs()
    }
}
