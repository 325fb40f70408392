//! How near an integer program is to its float original: cosines, perplexities, saturation, and what to raise.

/// Cosine of two vectors; 1 if both are zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum()
    };
    let (aa, bb) = (dot(a, a), dot(b, b));
    if aa == 0.0 && bb == 0.0 {
        return 1.0;
    }
    dot(a, b) / (aa * bb).sqrt().max(f64::MIN_POSITIVE)
}
