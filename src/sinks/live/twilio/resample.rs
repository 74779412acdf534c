//! Converts between sample rates (pure): a windowed-sinc low-pass filter prevents aliasing of everything above half the
//! lower rate.

use std::f64::consts::PI;

/// The filter's length on either side, in samples of the lower rate: steep enough for speech, with a delay of 2 ms at 8
/// kHz.
const REACH: usize = 16;
/// The part of the lower rate's band that passes.
const PASS: f64 = 0.9;

/// The resampler of one voice.
pub(super) struct Resampler {
    /// The number of steps between two input samples; between two output samples it is `down`.
    up: usize,
    down: usize,
    taps: Vec<f32>,
    /// The input that is still needed.
    history: Vec<f32>,
    /// The position of the next output sample, in steps from the start of the history.
    at: usize,
}

impl Resampler {
    pub(super) fn new(from_hz: u32, to_hz: u32) -> Self {
        let common = greatest_common_divisor(from_hz, to_hz);
        let (up, down) = ((to_hz / common) as usize, (from_hz / common) as usize);
        Self { up, down, taps: filter_taps(up, down), history: Vec::new(), at: 0 }
    }

    /// Resamples a block. The numbers of samples out and in are in the ratio of the rates.
    pub(super) fn process(&mut self, samples: &[i16]) -> Vec<i16> {
        if self.up == self.down {
            return samples.to_vec();
        }
        self.history.extend(samples.iter().copied().map(f32::from));
        let mut out = Vec::with_capacity(samples.len() * self.up / self.down + 1);
        while self.at / self.up < self.history.len() {
            out.push(self.sample());
            self.at += self.down;
        }
        self.forget();
        out
    }

    fn sample(&self) -> i16 {
        let newest = self.at / self.up;
        // Only every `up`-th tap meets an input sample; the others meet the zeros between two of them.
        let taps = self.taps.iter().skip(self.at % self.up).step_by(self.up);
        let sum: f32 =
            taps.zip(self.history[..=newest].iter().rev()).map(|(tap, sample)| tap * sample).sum();
        // `as` clips what is too loud.
        sum.round() as i16
    }

    fn forget(&mut self) {
        let reach = self.taps.len() / self.up + 1;
        let old = (self.at / self.up).saturating_sub(reach).min(self.history.len());
        self.history.drain(..old);
        self.at -= old * self.up;
    }
}

fn filter_taps(up: usize, down: usize) -> Vec<f32> {
    let widest = up.max(down) as f64;
    let half = (REACH * up.max(down)) as i64;
    let cutoff = PASS / widest;
    let tap = |step: i64| {
        let x = step as f64;
        let sinc = if step == 0 { 1.0 } else { (PI * cutoff * x).sin() / (PI * cutoff * x) };
        // Blackman's window.
        let phase = PI * (x / half as f64 + 1.0);
        let window = 0.42 - 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos();
        cutoff * sinc * window
    };
    let taps: Vec<f64> = (-half..=half).map(tap).collect();
    // A constant signal stays the same.
    let gain = up as f64 / taps.iter().sum::<f64>();
    taps.iter().map(|tap| (tap * gain) as f32).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u32; 4] = [8_000, 16_000, 32_000, 48_000];

    fn tone(hz: f64, rate_hz: u32, samples: usize) -> Vec<i16> {
        let sample = |n| 10_000.0 * (2.0 * PI * hz * f64::from(n) / f64::from(rate_hz)).sin();
        (0..samples as u32).map(|n| sample(n) as i16).collect()
    }

    fn loudness(samples: &[i16]) -> f64 {
        let sum: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        (sum / samples.len() as f64).sqrt()
    }

    /// A second of a tone, resampled in pieces of 20 ms, without the filter's beginning.
    fn resampled(hz: f64, from_hz: u32, to_hz: u32) -> Vec<i16> {
        let mut resampler = Resampler::new(from_hz, to_hz);
        let sound = tone(hz, from_hz, from_hz as usize);
        let pieces = sound.chunks(from_hz as usize / 50);
        let out: Vec<i16> = pieces.flat_map(|piece| resampler.process(piece)).collect();
        assert_eq!(out.len(), to_hz as usize);
        out[to_hz as usize / 10..].to_vec()
    }

    #[test]
    fn every_piece_has_the_length_of_its_time() {
        for from_hz in RATES {
            for to_hz in [8_000, 16_000] {
                let mut resampler = Resampler::new(from_hz, to_hz);
                for _ in 0..100 {
                    let piece = vec![0; from_hz as usize / 50];
                    assert_eq!(resampler.process(&piece).len(), to_hz as usize / 50);
                }
            }
        }
    }

    #[test]
    fn speech_passes_and_aliases_do_not() {
        let full = loudness(&tone(1_000.0, 8_000, 8_000));
        for from_hz in RATES {
            for hz in [100.0, 1_000.0, 3_000.0] {
                let ratio = loudness(&resampled(hz, from_hz, 8_000)) / full;
                assert!((0.95..1.05).contains(&ratio), "{hz} Hz from {from_hz}: {ratio}");
            }
        }
        for (hz, from_hz) in
            [(4_600.0, 16_000), (6_000.0, 16_000), (7_000.0, 32_000), (15_000.0, 48_000)]
        {
            let ratio = loudness(&resampled(hz, from_hz, 8_000)) / full;
            assert!(ratio < 0.003, "{hz} Hz from {from_hz} folds back: {ratio}");
        }
    }

    #[test]
    fn equal_rates_change_nothing() {
        let sound = tone(440.0, 8_000, 160);
        assert_eq!(Resampler::new(8_000, 8_000).process(&sound), sound);
    }

    #[test]
    fn old_input_is_discarded() {
        let mut resampler = Resampler::new(48_000, 8_000);
        for _ in 0..1_000 {
            resampler.process(&[1; 960]);
        }
        assert!(resampler.history.len() < 2_000);
    }
}
