//! The converter: supply voltage, and noise for random numbers.

use coldbench_sensor::supply::Divider;
use esp_hal::{
    analog::adc::{Adc, AdcCalCurve, AdcCalScheme, AdcChannel, AdcConfig, AdcPin, Attenuation, RegisterAccess},
    delay::Delay,
    efuse,
    peripherals::{ADC1, GPIO0, RNG},
    rng::{Rng, TrngSource},
    time::{Duration, Instant},
};
use sha2::{Digest, Sha256};

/// Conversions that make one value.
const SAMPLES: u32 = 8;
/// A conversion takes about 25 µs; a converter that needs longer than this does not answer.
const CONVERSION_LIMIT: Duration = Duration::from_millis(2);
/// After the converter did not answer it is left alone for this long, so that waiting does not slow the board down.
const REST: Duration = Duration::from_secs(1);
/// Input range about 0 to 2.5 V.
const ATTENUATION: Attenuation = Attenuation::_11dB;
/// Without calibration in efuse: the reference voltage that the calibration would be made at, and its usual code.
const NOMINAL_MILLIVOLTS: f32 = 1370.0;
const NOMINAL_CODE: f32 = 2000.0;
/// Time for the noise source to settle.
const NOISE_SETTLING_MILLIS: u32 = 2;
/// Raw bytes of the generator that go into each byte given out.
const OVERSAMPLING: usize = 4;

/// Converter and random number generator. They share the analog part, so they take turns.
pub struct Analog {
    adc: ADC1<'static>,
    pin: GPIO0<'static>,
    rng: RNG<'static>,
    /// Whether the chip's maker measured this converter. Where not, the two-point calibration of the supply voltage
    /// takes its place.
    calibrated: bool,
    resting_until: Option<Instant>,
}

impl Analog {
    /// Nothing is measured yet.
    pub fn new(adc: ADC1<'static>, pin: GPIO0<'static>, rng: RNG<'static>) -> Self {
        Analog { adc, pin, rng, calibrated: efuse::rtc_calib_version() == 1, resting_until: None }
    }

    /// Supply voltage in volts, scaled by the nominal divider; `None` when the converter does not answer.
    pub fn supply_volts(&mut self) -> Option<f32> {
        if self.resting_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let millivolts = self.millivolts();
        self.resting_until = millivolts.is_none().then(|| Instant::now() + REST);
        millivolts.map(|millivolts| Divider::NOMINAL.supply_volts(millivolts))
    }

    fn millivolts(&mut self) -> Option<f32> {
        let mut config = AdcConfig::new();
        if self.calibrated {
            let mut pin = config.enable_pin_with_cal::<_, AdcCalCurve<_>>(self.pin.reborrow(), ATTENUATION);
            mean(Adc::new(self.adc.reborrow(), config), &mut pin)
        } else {
            let mut pin = config.enable_pin(self.pin.reborrow(), ATTENUATION);
            let code = mean(Adc::new(self.adc.reborrow(), config), &mut pin)?;
            Some(code * NOMINAL_MILLIVOLTS / NOMINAL_CODE)
        }
    }

    /// Fills the bytes with numbers fit for keys.
    ///
    /// Entropy condition: the generator gives true random numbers only while something feeds it noise. The radio does
    /// while it is on. While it is off, the converter is switched to its own reference as noise source for as long as
    /// numbers are drawn, and given time to settle. Each byte given out is made of four raw ones through SHA-256.
    pub fn fill_random(&mut self, bytes: &mut [u8]) {
        let noise = (!TrngSource::is_enabled()).then(|| TrngSource::new(self.rng.reborrow(), self.adc.reborrow()));
        Delay::new().delay_millis(NOISE_SETTLING_MILLIS);
        let generator = Rng::new();
        for chunk in bytes.chunks_mut(32) {
            let mut raw = [0; 32 * OVERSAMPLING];
            generator.read(&mut raw);
            for (byte, digested) in chunk.iter_mut().zip(Sha256::digest(raw)) {
                *byte = digested;
            }
        }
        drop(noise);
    }
}

/// Mean of several conversions; `None` as soon as one does not end.
fn mean<'d, Unit, Pin, Scheme>(
    mut adc: Adc<'d, Unit, esp_hal::Blocking>,
    pin: &mut AdcPin<Pin, Unit, Scheme>,
) -> Option<f32>
where
    Unit: RegisterAccess + 'd,
    Pin: AdcChannel,
    Scheme: AdcCalScheme<Unit>,
{
    let mut sum = 0;
    for _ in 0..SAMPLES {
        sum += u32::from(convert(&mut adc, pin)?);
    }
    Some(sum as f32 / SAMPLES as f32)
}

fn convert<'d, Unit, Pin, Scheme>(
    adc: &mut Adc<'d, Unit, esp_hal::Blocking>,
    pin: &mut AdcPin<Pin, Unit, Scheme>,
) -> Option<u16>
where
    Unit: RegisterAccess + 'd,
    Pin: AdcChannel,
    Scheme: AdcCalScheme<Unit>,
{
    let started = Instant::now();
    while started.elapsed() < CONVERSION_LIMIT {
        match adc.read_oneshot(pin) {
            Ok(value) => return Some(value),
            Err(nb::Error::WouldBlock) => (),
            Err(nb::Error::Other(())) => return None,
        }
    }
    None
}
