//! The readings that wait.

use super::*;

/// A record that tells its number.
fn record(number: u32) -> Vec<u8> {
    let mut record = number.to_le_bytes().to_vec();
    record.resize(37 + number as usize % 9, number as u8);
    record
}

fn number(record: &[u8]) -> u32 {
    let number = u32::from_le_bytes(record[..4].try_into().unwrap());
    assert_eq!(record, self::record(number), "a record is whole");
    number
}

/// A chip on which this owner's readings go on.
fn claimed(flash: ImitatedFlash, owner: u32) -> BoardFlash<ImitatedFlash> {
    let mut flash = board_flash(flash);
    flash.claim(owner);
    flash
}

/// Sends up to `limit` of what waits, and gives the numbers.
fn send(flash: &mut BoardFlash<ImitatedFlash>, limit: usize) -> Vec<u32> {
    let mut sent = Vec::new();
    while sent.len() < limit
        && let Some(Waiting { ticket, record }) = flash.oldest()
    {
        flash.acknowledge(ticket).unwrap();
        sent.push(number(&record));
    }
    sent
}

#[test]
fn a_day_at_five_seconds_fits_in_the_partition() {
    // The partition has 256 sectors, one of which may just be erased; a long record of a reading has 48 bytes.
    let per_sector = (SECTOR_LEN - 24) / (8 + 48);
    assert!(255 * per_sector >= 17_280, "{}", 255 * per_sector);
}

#[test]
fn records_come_out_in_order_each_once_over_restarts() {
    let mut flash = claimed(ImitatedFlash::new(), 1);
    let mut sent = Vec::new();
    for round in 0..40 {
        for one in 0..11 {
            flash.push(&record(round * 11 + one)).unwrap();
        }
        sent.extend(send(&mut flash, if round % 3 == 0 { 30 } else { 4 }));
        flash = claimed(flash.flash().clone(), 1);
        assert_eq!(flash.waiting() as usize, (round as usize + 1) * 11 - sent.len());
    }
    sent.extend(send(&mut flash, usize::MAX));
    assert_eq!(sent, (0..440).collect::<Vec<_>>());
    assert_eq!((flash.waiting(), flash.dropped()), (0, 0));
}

#[test]
fn what_was_sent_does_not_come_again_after_a_restart() {
    let mut flash = claimed(ImitatedFlash::new(), 1);
    for one in 0..200 {
        flash.push(&record(one)).unwrap();
    }
    assert_eq!(send(&mut flash, 150).len(), 150);
    let mut flash = claimed(flash.flash().clone(), 1);
    assert_eq!(flash.waiting(), 50);
    assert_eq!(send(&mut flash, usize::MAX), (150..200).collect::<Vec<_>>());
}

#[test]
fn the_oldest_give_way_when_the_ring_is_full_and_are_counted() {
    let mut flash = claimed(ImitatedFlash::new(), 1);
    for one in 0..1000 {
        flash.push(&record(one)).unwrap();
    }
    let (waiting, dropped) = (flash.waiting(), flash.dropped());
    assert_eq!(waiting + dropped, 1000);
    assert!(waiting >= 3 * 70, "{waiting}");
    let first = claimed(flash.flash().clone(), 1).oldest().unwrap();
    assert_eq!(number(&first.record), dropped);
    assert_eq!(send(&mut flash, usize::MAX), (dropped..1000).collect::<Vec<_>>());
}

#[test]
fn acknowledging_one_that_gave_way_takes_no_other() {
    let mut flash = claimed(ImitatedFlash::new(), 1);
    flash.push(&record(0)).unwrap();
    let ticket = flash.oldest().unwrap().ticket;
    for one in 1..1000 {
        flash.push(&record(one)).unwrap();
    }
    let oldest = flash.oldest().unwrap();
    flash.acknowledge(ticket).unwrap();
    assert_eq!(flash.oldest().unwrap(), oldest);
    flash.acknowledge(oldest.ticket).unwrap();
    flash.acknowledge(oldest.ticket).unwrap();
    assert_eq!(number(&flash.oldest().unwrap().record), number(&oldest.record) + 1);
}

#[test]
fn readings_are_never_sent_for_another_owner() {
    let mut flash = claimed(ImitatedFlash::new(), 1);
    for one in 0..30 {
        flash.push(&record(one)).unwrap();
    }
    flash.claim(2);
    assert_eq!((flash.oldest(), flash.waiting()), (None, 0));
    flash.push(&record(500)).unwrap();
    assert_eq!(send(&mut flash, usize::MAX), [500]);
    // The first owner comes back.
    flash.claim(1);
    assert_eq!(flash.waiting(), 30);
    assert_eq!(send(&mut flash, usize::MAX), (0..30).collect::<Vec<_>>());
}

#[test]
fn a_worn_cell_costs_one_record_and_no_other() {
    let mut flash = claimed(ImitatedFlash::new(), 1);
    flash.push(&record(0)).unwrap();
    // In the payload of the next record.
    let place = BACKLOG_START as usize + 24 + 8 + record(0).len().next_multiple_of(4);
    flash.flash().worn_address = Some(place + 8 + 10);
    assert_eq!(flash.push(&record(1)), Err(StoreError::Save));
    flash.push(&record(2)).unwrap();
    assert_eq!(flash.dropped(), 1);
    assert_eq!(send(&mut flash, usize::MAX), [0, 2]);
}

#[test]
fn a_ring_erases_no_more_than_it_must() {
    let mut flash = claimed(ImitatedFlash::new(), 1);
    for one in 0..1000 {
        flash.push(&record(one)).unwrap();
        if one % 100 == 0 {
            flash = claimed(flash.flash().clone(), 1);
        }
    }
    let per_sector = (SECTOR_LEN - 24) / (8 + 48);
    assert!(flash.flash().erases <= 1000 / per_sector + 1, "{}", flash.flash().erases);
}

#[test]
fn without_a_partition_readings_are_dropped_and_counted() {
    let layout = Layout::new(nvs_range(), calibration_range(), None);
    let mut flash = BoardFlash::new(ImitatedFlash::new(), layout);
    assert_eq!(flash.push(&record(0)), Err(StoreError::Full));
    assert_eq!((flash.oldest(), flash.dropped()), (None, 1));
}

#[test]
fn a_record_that_is_too_long_is_refused() {
    let mut flash = claimed(ImitatedFlash::new(), 1);
    assert_eq!(flash.push(&[0; 256]), Err(StoreError::Full));
    flash.push(&[7; 255]).unwrap();
    assert_eq!(flash.oldest().unwrap().record, [7; 255]);
}

/// A loss of power at any step of a push loses that reading at most, never one before it and never the next.
#[test]
fn a_loss_of_power_while_pushing_loses_that_record_at_most() {
    // Into a blank chip, within a sector, into the next sector, and into the sector of the oldest when all is full.
    for before_it in [0, 1, 40, 74, 75, 76, 77, 78, 79, 80, 400] {
        let mut before = claimed(ImitatedFlash::new(), 1);
        (0..before_it).for_each(|one| before.push(&record(one)).unwrap());
        let dropped = before.dropped();
        let before = before.flash().clone();
        let mut was_kept = false;
        after_each_cut(
            &before,
            |flash| {
                flash.claim(1);
                flash.push(&record(before_it))
            },
            |steps, flash| {
                flash.claim(1);
                flash.push(&record(9999)).unwrap();
                let mut sent = send(flash, usize::MAX);
                assert_eq!(sent.pop(), Some(9999), "{before_it} before, cut after {steps} steps");
                let is_kept = sent.last() == Some(&before_it);
                assert!(is_kept || !was_kept, "once kept, it stays");
                was_kept = is_kept;
                let first = *sent.first().unwrap_or(&0);
                // When all is full, the sector of the oldest goes.
                assert!(first == dropped || before_it == 400, "{before_it} before, cut after {steps} steps: {first}");
                let last = if is_kept { before_it + 1 } else { before_it };
                assert_eq!(sent, (first..last).collect::<Vec<_>>(), "{before_it} before, cut after {steps} steps");
            },
        );
        assert!(was_kept);
    }
}

#[test]
fn a_loss_of_power_while_acknowledging_loses_nothing_that_waits() {
    for sent_before in [0, 1, 70, 71, 72, 73, 74, 75, 76, 77, 78] {
        let mut before = claimed(ImitatedFlash::new(), 1);
        (0..160).for_each(|one| before.push(&record(one)).unwrap());
        assert_eq!(send(&mut before, sent_before).len(), sent_before);
        let before = before.flash().clone();
        after_each_cut(
            &before,
            |flash| {
                flash.claim(1);
                let ticket = flash.oldest().unwrap().ticket;
                flash.acknowledge(ticket)
            },
            |steps, flash| {
                flash.claim(1);
                let sent = send(flash, usize::MAX);
                let first = sent[0];
                let sent_before = sent_before as u32;
                assert!(first == sent_before || first == sent_before + 1, "cut after {steps} steps: {first}");
                assert_eq!(sent, (first..160).collect::<Vec<_>>());
            },
        );
    }
}

/// What happens to a ring.
#[derive(Debug, Clone)]
enum Act {
    Push(u32),
    Send(usize),
    Restart,
    /// Loses the power after this many steps of a push.
    CutPush(u32),
    CutSend(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1_u32..90).prop_map(Act::Push),
        (0_usize..120).prop_map(Act::Send),
        Just(Act::Restart),
        (0_u32..40).prop_map(Act::CutPush),
        (0_u32..4).prop_map(Act::CutSend),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, records come in order, none twice but for a cut in its acknowledgement, and none is missing
    /// that was pushed without a cut and did not give way.
    #[test]
    fn a_ring_keeps_order_and_loses_only_what_it_counts(acts in proptest::collection::vec(act(), 1..40)) {
        let mut flash = claimed(ImitatedFlash::new(), 1);
        let (mut next, mut sent, mut uncertain) = (0, Vec::<u32>::new(), Vec::<u32>::new());
        let mut dropped = 0;
        let mut restart = |flash: &mut BoardFlash<ImitatedFlash>| {
            dropped += flash.dropped();
            *flash = claimed(flash.flash().with_power(), 1);
        };
        for act in acts {
            match act {
                Act::Push(count) => (0..count).for_each(|_| {
                    flash.push(&record(next)).unwrap();
                    next += 1;
                }),
                Act::Send(count) => sent.extend(send(&mut flash, count)),
                Act::Restart => restart(&mut flash),
                Act::CutPush(steps) => {
                    flash = claimed(flash.flash().with_power_for(steps), 1);
                    let _ = flash.push(&record(next));
                    uncertain.push(next);
                    next += 1;
                    restart(&mut flash);
                }
                Act::CutSend(steps) => {
                    flash = claimed(flash.flash().with_power_for(steps), 1);
                    if let Some(Waiting { ticket, record }) = flash.oldest() {
                        let _ = flash.acknowledge(ticket);
                        uncertain.push(number(&record));
                        sent.push(number(&record));
                    }
                    restart(&mut flash);
                }
            }
        }
        sent.extend(send(&mut flash, usize::MAX));
        restart(&mut flash);
        prop_assert!(sent.windows(2).all(|pair| pair[0] < pair[1] || uncertain.contains(&pair[1])), "{sent:?}");
        let missing = (0..next).filter(|one| !sent.contains(one) && !uncertain.contains(one)).count() as u32;
        // A cut erase may have spoilt a sector that was about to be given up without counting it.
        prop_assert!(missing <= dropped + 80 * uncertain.len() as u32, "{missing} missing, {dropped} dropped");
        if uncertain.is_empty() {
            prop_assert_eq!(missing, dropped);
        }
    }

    #[test]
    fn any_bytes_are_survived(
        damages in proptest::collection::vec((0..BACKLOG_LEN as usize, any::<u8>()), 0..60),
        pushed in 0_u32..400,
    ) {
        let mut before = claimed(ImitatedFlash::new(), 1);
        (0..pushed).for_each(|one| before.push(&record(one)).unwrap());
        let mut damaged = before.flash().clone();
        for (at, byte) in damages {
            damaged.bytes[BACKLOG_START as usize + at] = byte;
        }
        let mut flash = claimed(damaged, 1);
        // Each that comes is whole, and in order.
        let sent = send(&mut flash, usize::MAX);
        prop_assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "{sent:?}");
        flash.push(&record(5000)).unwrap();
        prop_assert_eq!(send(&mut flash, usize::MAX), [5000]);
    }
}
