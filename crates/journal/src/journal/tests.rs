use super::*;
use std::io::Write as _;

const LIMITS: Limits = Limits {
    entry_bytes: 100,
    segment_bytes: 250,
};

fn open(folder: &Path) -> (Journal, Ended, Vec<(Place, Vec<u8>)>) {
    let mut entries = vec![];
    let (journal, ended) = Journal::open(folder, LIMITS, |place, bytes| {
        entries.push((place, bytes.to_vec()));
    })
    .unwrap();
    (journal, ended, entries)
}

fn files(folder: &Path) -> usize {
    numbers(folder).unwrap().len()
}

/// The folder as it is now, as if the process that uses it had ended.
fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

#[test]
fn what_was_appended_is_there_after_the_process_has_died() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ended, _) = open(folder.path());
    assert_eq!(ended, Ended::New);
    let places: Vec<_> = (0..20)
        .map(|number| journal.append(&[number; 50]).unwrap())
        .collect();
    assert_eq!(journal.read(places[7]).unwrap(), [7; 50]);
    let died = copy(folder.path());
    let (journal, ended, entries) = open(died.path());
    assert_eq!(ended, Ended::ProcessDied);
    let expected: Vec<_> = (0..20).map(|number| vec![number; 50]).collect();
    let found: Vec<_> = entries.iter().map(|(_, bytes)| bytes.clone()).collect();
    assert_eq!(found, expected);
    for (place, bytes) in entries {
        assert_eq!(journal.read(place).unwrap(), bytes);
    }
}

#[test]
fn a_use_that_ends_in_good_order_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(folder.path());
    journal.append(b"one").unwrap();
    drop(journal);
    let (_journal, ended, entries) = open(folder.path());
    assert_eq!(ended, Ended::Orderly);
    assert_eq!(entries.len(), 1);
}

#[test]
fn files_go_when_all_their_entries_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(folder.path());
    let places: Vec<_> = (0..40)
        .map(|number| journal.append(&[number; 50]).unwrap())
        .collect();
    assert!(files(folder.path()) > 5);
    for place in &places[..39] {
        journal.forget(*place);
    }
    assert_eq!(files(folder.path()), 1);
    assert!(journal.read(places[0]).is_err());
    assert_eq!(journal.read(places[39]).unwrap(), [39; 50]);
    // Also a file whose entries were forgotten while it was the newest.
    journal.forget(places[39]);
    for number in 0..8 {
        journal.forget(journal.append(&[number; 90]).unwrap());
    }
    assert!(files(folder.path()) <= 2);
}

#[test]
fn what_was_not_completed_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(folder.path());
    journal.append(b"whole").unwrap();
    let died = copy(folder.path());
    let newest = path(died.path(), 0);
    let torn = &frame(b"torn").unwrap()[..9];
    let mut file = OpenOptions::new().append(true).open(&newest).unwrap();
    file.write_all(torn).unwrap();
    let (journal, ended, entries) = open(died.path());
    assert_eq!((ended, entries.len()), (Ended::MachineDied, 1));
    journal.append(b"next").unwrap();
    drop(journal);
    let (_journal, _, entries) = open(died.path());
    assert_eq!(entries[1].1, b"next");
    // A file that was begun and has no header yet.
    let begun = tempfile::tempdir().unwrap();
    fs::write(path(begun.path(), 3), &MAGIC[..5]).unwrap();
    let (journal, ..) = open(begun.path());
    journal.append(b"first").unwrap();
    drop(journal);
    assert_eq!(open(begun.path()).2.len(), 1);
}

#[test]
fn a_damaged_file_that_was_complete_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(folder.path());
    for number in 0..10 {
        journal.append(&[number; 50]).unwrap();
    }
    drop(journal);
    let first = path(folder.path(), 0);
    let mut bytes = fs::read(&first).unwrap();
    bytes[100] ^= 1;
    fs::write(&first, bytes).unwrap();
    let error = Journal::open(folder.path(), LIMITS, |_, _| ()).unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::Damaged {
                intact_bytes: 66,
                ..
            }
        ),
        "{error}"
    );
    fs::write(&first, [&MAGIC[..], &[0; 1000]].concat()).unwrap();
    let error = Journal::open(folder.path(), LIMITS, |_, _| ()).unwrap_err();
    assert!(matches!(error, JournalError::Foreign(_)), "{error}");
    fs::write(&first, b"something else").unwrap();
    let error = Journal::open(folder.path(), LIMITS, |_, _| ()).unwrap_err();
    assert!(matches!(error, JournalError::Foreign(_)), "{error}");
}

#[test]
fn what_a_failed_write_leaves_is_cut_off_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(folder.path());
    // As a disk does that is full in the middle of an entry.
    let leave = |number| {
        let mut newest = OpenOptions::new();
        let newest = newest.append(true).open(path(folder.path(), number));
        newest.unwrap().write_all(b"a part of an entry").unwrap();
    };
    for number in 0..4 {
        journal.append(&[number; 90]).unwrap();
        leave(u32::from(number) / 2);
    }
    drop(journal);
    let (_journal, ended, entries) = open(folder.path());
    assert_eq!((ended, entries.len()), (Ended::Orderly, 4));
}

#[test]
fn what_is_missing_after_an_end_in_good_order_is_an_error() {
    for number in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let (journal, ..) = open(folder.path());
        for number in 0..2 {
            journal.append(&[number; 50]).unwrap();
        }
        drop(journal);
        let newest = path(folder.path(), 0);
        let bytes = fs::read(&newest).unwrap();
        match number {
            // A whole entry is missing, nothing is left, the file is gone.
            0 => fs::write(&newest, &bytes[..66]).unwrap(),
            1 => fs::write(&newest, b"").unwrap(),
            _ => fs::remove_file(&newest).unwrap(),
        }
        let error = Journal::open(folder.path(), LIMITS, |_, _| ()).unwrap_err();
        assert!(
            matches!(error, JournalError::Damaged { .. }),
            "{number}: {error}"
        );
        // Opening it in vain changes nothing.
        fs::write(&newest, &bytes).unwrap();
        assert_eq!(open(folder.path()).1, Ended::Orderly);
    }
}

#[test]
fn without_the_file_that_tells_nothing_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(folder.path());
    journal.append(b"one").unwrap();
    drop(journal);
    fs::remove_file(folder.path().join("state")).unwrap();
    let (_journal, ended, entries) = open(folder.path());
    assert_eq!((ended, entries.len()), (Ended::MachineDied, 1));
}

#[test]
fn one_process_uses_it_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (_journal, ..) = open(folder.path());
    let error = Journal::open(folder.path(), LIMITS, |_, _| ()).unwrap_err();
    assert!(matches!(error, JournalError::InUse(_)), "{error}");
}

#[test]
fn an_entry_that_is_too_long_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(folder.path());
    journal.append(&[0; 100]).unwrap();
    let error = journal.append(&[0; 101]).unwrap_err();
    assert!(matches!(
        error,
        JournalError::TooLong {
            bytes: 101,
            maximum: 100
        }
    ));
}

#[test]
fn threads_append_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..100 {
                    let place = journal.append(&[thread, number]).unwrap();
                    assert_eq!(journal.read(place).unwrap(), [thread, number]);
                }
            });
        }
    });
    drop(journal);
    let mut entries: Vec<_> = open(folder.path())
        .2
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    entries.sort();
    entries.dedup();
    assert_eq!(entries.len(), 400);
}
