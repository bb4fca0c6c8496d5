//! One measured value over a day, kept at three resolutions, so that any stretch of it can be drawn with few points and
//! no peak is lost.

use std::collections::VecDeque;

/// Widths of the buckets that hold minimum and maximum, seconds: under them lies the value itself.
const BUCKET_SECS: [u32; 2] = [40, 320];
/// More than this many usual intervals without a value is a gap.
const GAP_INTERVALS: u32 = 2;

/// One value over time.
#[derive(Debug, Clone)]
pub struct Trace {
    raw: VecDeque<(u32, f32)>,
    coarse: [VecDeque<Bucket>; 2],
    interval_secs: u32,
}

impl Default for Trace {
    fn default() -> Self {
        Trace { raw: VecDeque::new(), coarse: Default::default(), interval_secs: 5 }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    from_secs: u32,
    min: f32,
    max: f32,
}

impl Trace {
    /// The points of a stretch, seconds since 1970 and value, at the finest resolution that needs no more than
    /// `max_points` of them. A gap is a point whose value is not a number.
    pub fn points(&self, from_secs: u32, to_secs: u32, max_points: usize) -> Box<dyn Iterator<Item = [f64; 2]> + '_> {
        // One point either side of the stretch, so that a line runs to the edge of the picture.
        let stretch = |first: usize, past: usize, len: usize| (first.saturating_sub(1), (past + 1).min(len));
        let (first, past) = stretch(
            self.raw.partition_point(|(secs, _)| *secs < from_secs),
            self.raw.partition_point(|(secs, _)| *secs <= to_secs),
            self.raw.len(),
        );
        if past.saturating_sub(first) <= max_points {
            let points = self.raw.range(first..past).map(|(secs, value)| (*secs, [*value; 2], 1));
            return Box::new(with_gaps(points, self.longest_pause_secs()));
        }
        let [fine, rough] = &self.coarse;
        let count = |buckets: &VecDeque<Bucket>| {
            let first = buckets.partition_point(|bucket| bucket.from_secs < from_secs);
            stretch(first, buckets.partition_point(|bucket| bucket.from_secs <= to_secs), buckets.len())
        };
        let (first, past) = count(fine);
        let (buckets, width, (first, past)) = match past.saturating_sub(first) * 2 <= max_points {
            true => (fine, BUCKET_SECS[0], (first, past)),
            false => (rough, BUCKET_SECS[1], count(rough)),
        };
        let points = buckets.range(first..past).map(|bucket| (bucket.from_secs, [bucket.min, bucket.max], 2));
        Box::new(with_gaps(points, width + self.longest_pause_secs()))
    }

    /// The value's bounds in a stretch; `None` where there is none.
    pub fn bounds(&self, from_secs: u32, to_secs: u32) -> Option<(f32, f32)> {
        let first = self.raw.partition_point(|(secs, _)| *secs < from_secs);
        let past = self.raw.partition_point(|(secs, _)| *secs <= to_secs);
        let values = self.raw.range(first..past.max(first)).map(|(_, value)| *value).filter(|value| value.is_finite());
        values.fold(None, |bounds, value| match bounds {
            None => Some((value, value)),
            Some((min, max)) => Some((f32::min(min, value), f32::max(max, value))),
        })
    }

    /// Longer than this without a value is a gap, seconds.
    pub fn longest_pause_secs(&self) -> u32 {
        self.interval_secs.max(1) * GAP_INTERVALS
    }

    /// Says how often a value is expected.
    pub(super) fn expect_every(&mut self, interval_secs: u32) {
        self.interval_secs = interval_secs;
    }

    /// Takes a value at its place in time.
    pub(super) fn insert(&mut self, secs: u32, value: f32) {
        let place = self.raw.partition_point(|(other, _)| *other <= secs);
        self.raw.insert(place, (secs, value));
        if value.is_nan() {
            return;
        }
        for (buckets, width) in self.coarse.iter_mut().zip(BUCKET_SECS) {
            let from_secs = secs / width * width;
            let place = buckets.partition_point(|bucket| bucket.from_secs < from_secs);
            match buckets.get_mut(place).filter(|bucket| bucket.from_secs == from_secs) {
                Some(bucket) => (bucket.min, bucket.max) = (bucket.min.min(value), bucket.max.max(value)),
                None => buckets.insert(place, Bucket { from_secs, min: value, max: value }),
            }
        }
    }

    /// Forgets what is older.
    pub(super) fn forget_before(&mut self, secs: u32) {
        while self.raw.front().is_some_and(|(oldest, _)| *oldest < secs) {
            self.raw.pop_front();
        }
        for (buckets, width) in self.coarse.iter_mut().zip(BUCKET_SECS) {
            while buckets.front().is_some_and(|bucket| bucket.from_secs + width <= secs) {
                buckets.pop_front();
            }
        }
    }
}

/// Points with a break where the pause is too long.
fn with_gaps(
    values: impl Iterator<Item = (u32, [f32; 2], usize)>,
    longest_pause_secs: u32,
) -> impl Iterator<Item = [f64; 2]> {
    let mut before: Option<u32> = None;
    values.flat_map(move |(secs, [first, second], count)| {
        let is_gap = before.is_some_and(|before| secs.saturating_sub(before) > longest_pause_secs);
        before = Some(secs);
        let at = f64::from(secs);
        let gap = is_gap.then_some([at, f64::NAN]);
        let second = (count == 2 && second != first).then_some([at, f64::from(second)]);
        gap.into_iter().chain([[at, f64::from(first)]]).chain(second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: impl IntoIterator<Item = (u32, f32)>) -> Trace {
        let mut trace = Trace::default();
        values.into_iter().for_each(|(secs, value)| trace.insert(secs, value));
        trace
    }

    #[test]
    fn a_peak_survives_every_resolution() {
        let trace = filled((0..17_280).map(|number| (number * 5, if number == 9_999 { 40.0 } else { -20.0 })));
        for max_points in [20_000, 5_000, 800] {
            let top = trace.points(0, u32::MAX, max_points).map(|[_, value]| value).fold(f64::MIN, f64::max);
            assert_eq!(top, 40.0, "with {max_points} points");
            assert!(trace.points(0, u32::MAX, max_points).count() <= max_points);
        }
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let trace = filled([(0, 1.0), (5, 2.0), (100, 3.0)]);
        let points: Vec<_> = trace.points(0, 200, 100).collect();
        assert_eq!(points.len(), 4);
        assert!(points[2][1].is_nan());
    }

    #[test]
    fn bounds_leave_out_what_was_not_measured() {
        let trace = filled([(0, 1.0), (5, f32::NAN), (10, -2.0), (500, 9.0)]);
        assert_eq!(trace.bounds(0, 20), Some((-2.0, 1.0)));
        assert_eq!(trace.bounds(20, 30), None);
    }
}
