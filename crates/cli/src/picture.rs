//! Pictures as models take them: PNG to gray values between 0 and 1 in the size that is wanted.

use crate::failure::failure;
use anyhow::Context as _;
use image::{ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// Longest side of a picture that is read, in pixels.
const MAX_SIDE: u32 = 4096;
/// Most memory that reading a picture may take, in bytes.
const MAX_MEMORY_BYTES: u64 = 128 * 1024 * 1024;

/// A gray picture: rows of values from 0 (black) to 1 (white).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<f32>,
}

impl Picture {
    /// Reads a PNG; colors become gray.
    pub(crate) fn from_png(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_MEMORY_BYTES);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
        reader.limits(limits);
        let gray = reader
            .decode()
            .with_context(|| format!("not a PNG picture of at most {MAX_SIDE}x{MAX_SIDE} pixels"))?
            .into_luma8();
        Ok(Self {
            width: usize::try_from(gray.width())?,
            height: usize::try_from(gray.height())?,
            values: gray.iter().map(|pixel| f32::from(*pixel) / 255.0).collect(),
        })
    }

    /// The picture in another size; each new pixel is the mean of the area that it covers.
    pub(crate) fn resized(&self, width: usize, height: usize) -> anyhow::Result<Self> {
        if self.width == 0 || self.height == 0 || width == 0 || height == 0 {
            return Err(failure(
                "an empty picture",
                "give one with at least one pixel",
            ));
        }
        let columns = spans(self.width, width);
        let rows = spans(self.height, height);
        let mut values = Vec::with_capacity(width * height);
        for row in &rows {
            for column in &columns {
                values.push(self.mean(row, column));
            }
        }
        Ok(Self {
            width,
            height,
            values,
        })
    }

    fn mean(&self, rows: &[(usize, f32)], columns: &[(usize, f32)]) -> f32 {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (y, height) in rows {
            for (x, width) in columns {
                sum += self.values[y * self.width + x] * height * width;
                weight += height * width;
            }
        }
        sum / weight
    }
}

/// For each of `target` equal parts of a line of `source` pixels: the pixels it covers, with the
/// share of each.
fn spans(source: usize, target: usize) -> Vec<Vec<(usize, f32)>> {
    // In units of one source pixel divided by `target`, both divisions are whole numbers.
    (0..target)
        .map(|part| {
            let (start, end) = (part * source, (part + 1) * source);
            (start / target..end.div_ceil(target))
                .map(|pixel| {
                    let overlap = end.min((pixel + 1) * target) - start.max(pixel * target);
                    (pixel, overlap as f32 / target as f32)
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_example_is_read_pixel_by_pixel() {
        let picture = Picture::from_png(crate::digits::EXAMPLES[0].png).unwrap();
        assert_eq!((picture.width, picture.height), (8, 8));
        assert_eq!(picture.resized(8, 8).unwrap(), picture);
        let sixteenths = |value: f32| (value * 16.0 - (value * 16.0).round()).abs() < 0.05;
        assert!(picture.values.iter().all(|value| sixteenths(*value)));
    }

    #[test]
    fn shrinking_takes_the_mean_of_each_area() {
        let picture = Picture {
            width: 3,
            height: 2,
            values: vec![0.0, 0.3, 0.6, 0.6, 0.3, 0.0],
        };
        let small = picture.resized(1, 1).unwrap();
        assert!((small.values[0] - 0.3).abs() < 1e-6);
        let halves = picture.resized(2, 1).unwrap();
        assert!((halves.values[0] - 0.3).abs() < 1e-6, "{halves:?}");
        let top = picture.resized(2, 2).unwrap();
        assert!((top.values[0] - 0.1).abs() < 1e-6, "{top:?}");
        assert!((top.values[1] - 0.5).abs() < 1e-6, "{top:?}");
    }

    #[test]
    fn what_is_no_png_is_refused() {
        for bytes in [
            &b""[..],
            b"not a picture",
            &crate::digits::EXAMPLES[0].png[..40],
        ] {
            let error = Picture::from_png(bytes).unwrap_err();
            assert!(error.to_string().contains("PNG"), "{error:#}");
        }
    }

    proptest! {
        #[test]
        fn the_mean_survives_any_resizing(
            width in 1usize..20, height in 1usize..20, to_width in 1usize..20, to_height in 1usize..20,
            seed in any::<u32>(),
        ) {
            let values: Vec<f32> = (0..width * height)
                .map(|index| (index as f32 * 0.37 + seed as f32 % 7.0).fract())
                .collect();
            let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
            let picture = Picture { width, height, values };
            let resized = picture.resized(to_width, to_height).unwrap();
            prop_assert_eq!(resized.values.len(), to_width * to_height);
            prop_assert!((mean(&picture.values) - mean(&resized.values)).abs() < 1e-4);
        }

        #[test]
        fn damaged_pngs_never_panic(position in 0usize..100, byte in any::<u8>()) {
            let mut png = crate::digits::EXAMPLES[1].png.to_vec();
            if let Some(place) = png.get_mut(position) {
                *place = byte;
            }
            let _ = Picture::from_png(&png);
        }
    }
}
