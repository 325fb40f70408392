//! The built-in model's name, and real handwritten digits to try it on.

/// The name of the model that every inference node has built in.
pub(crate) const MODEL_NAME: &str = "digits";

/// A held-out image of scikit-learn's digits data: the model was not trained on it.
#[derive(Debug)]
pub(crate) struct Example {
    /// What the image shows, by the people who labeled it.
    pub(crate) label: usize,
    /// The image, a PNG of 8x8 gray pixels.
    pub(crate) png: &'static [u8],
}

macro_rules! example {
    ($label:literal, $number:literal) => {
        Example {
            label: $label,
            png: include_bytes!(concat!(
                "../../../models/digits/examples/",
                $label,
                "-",
                $number,
                ".png"
            )),
        }
    };
}

/// One image of each digit.
pub(crate) const EXAMPLES: [Example; 10] = [
    example!(0, 1),
    example!(1, 1),
    example!(2, 1),
    example!(3, 1),
    example!(4, 1),
    example!(5, 1),
    example!(6, 1),
    example!(7, 1),
    example!(8, 1),
    example!(9, 1),
];
