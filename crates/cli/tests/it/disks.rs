//! Disks that are full, cannot be written or hold damaged files: the message says what to do, and
//! once the disk is sound the node goes on.

use super::{
    cluster::{Cluster, VALIDATORS, long, system},
    load::{Load, ask},
    support::{one_network, wait_for},
};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha20Rng;
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

/// A small disk in memory, mounted where a node keeps its data.
struct Disk(String);

impl Disk {
    /// `None` where this process may not mount.
    fn mount(at: &str, megabytes: usize) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = system("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at]);
        if !mounted {
            eprintln!("skipped: mounting a disk takes root");
        }
        mounted.then(|| Self(at.to_owned()))
    }

    fn remount(&self, how: &str) {
        assert!(system("mount", &["-o", &format!("remount,{how}"), &self.0]));
    }

    fn filler(&self) -> PathBuf {
        Path::new(&self.0).join("filler")
    }

    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [64 * 1024, 512] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        system("umount", &["-l", &self.0]);
    }
}

/// Checks that a text tells an operator about the disk.
fn speaks_of_the_disk(text: &str) {
    let text = text.to_lowercase();
    assert!(text.contains("disk") || text.contains("space"), "{text}");
}

#[test]
fn a_validator_whose_disk_is_full_stops_says_so_and_goes_on_when_there_is_room() {
    let _one = one_network();
    let mut cluster = Cluster::unstarted("127.0.0.1");
    let victim = "validator-3";
    let Some(disk) = Disk::mount(&cluster.file("validator-3/data"), 64) else {
        return;
    };
    cluster.start_all();
    disk.fill();
    let load = Load::start(&cluster);
    let status = cluster.reap(victim);
    assert_eq!(status.code(), Some(1), "{}", cluster.log(victim));
    let log = cluster.log(victim);
    speaks_of_the_disk(log.lines().last().unwrap());
    // It does not start either, and the others do without it. What it had open is free now.
    disk.fill();
    let error = cluster.start_fails(victim);
    speaks_of_the_disk(&error);
    assert!(error.contains("No space left"), "{error}");
    let height = cluster.height("validator-0");
    cluster.wait_height("validator-0", height + 3);
    load.stop();

    disk.empty();
    cluster.start_node(victim);
    cluster.wait_ready(victim);
    let height = cluster.height("validator-0");
    cluster.agree(&VALIDATORS, height);
    cluster.stop(victim);

    disk.remount("ro");
    speaks_of_the_disk(&cluster.start_fails(victim));
    disk.remount("rw");
    cluster.start_node(victim);
    cluster.wait_ready(victim);
}

#[test]
fn a_gateway_whose_disk_is_full_says_so_and_goes_on_when_there_is_room() {
    a_service_bears_a_full_disk("gateway");
}

#[test]
fn an_inference_node_whose_disk_is_full_says_so_and_goes_on_when_there_is_room() {
    a_service_bears_a_full_disk("inference-0");
}

fn a_service_bears_a_full_disk(name: &str) {
    let _one = one_network();
    let mut cluster = Cluster::unstarted("127.0.0.1");
    let Some(disk) = Disk::mount(&cluster.file(&format!("{name}/data")), 16) else {
        return;
    };
    cluster.start_all();
    disk.fill();
    let (status, answer) = wait_for("error", || {
        let (status, answer) = ask(&cluster, None);
        (status != 200).then_some((status, answer))
    });
    assert!(status >= 500, "{answer}");
    speaks_of_the_disk(&cluster.log(name));
    let readiness = wait_for("doubt", || {
        let readiness = cluster.readiness(name)?;
        (readiness["ready"] == false).then_some(readiness)
    });
    speaks_of_the_disk(&readiness.to_string());
    disk.empty();
    // What the message says: a restart.
    cluster.stop(name);
    cluster.start_node(name);
    cluster.wait_ready("gateway");
    cluster.wait_ready(name);
    assert_eq!(ask(&cluster, None).0, 200);

    cluster.stop(name);
    disk.remount("ro");
    speaks_of_the_disk(&cluster.start_fails(name));
    disk.remount("rw");
    cluster.start_node(name);
    cluster.wait_ready(name);
}

/// Every file below a folder that is not empty, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.metadata().unwrap().len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

type Damage = (&'static str, fn(&mut Vec<u8>));

/// Ways to damage a file.
const DAMAGES: [Damage; 4] = [
    ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("emptied", |bytes| bytes.clear()),
    ("overwritten", |bytes| bytes.fill(0x5a)),
    ("with a flipped bit", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }),
];

/// Damaged files tried of each node, in the short and in the long version.
const SAMPLES: usize = 3;
const LONG_SAMPLES: usize = 40;

#[test]
fn a_damaged_file_is_named_with_what_to_do_or_does_no_harm() {
    let _one = one_network();
    // Always the same files at first: a test that picks new ones fails for whoever comes by.
    let seed = if long() { rand::random() } else { 0 };
    eprintln!("seed {seed}");
    let mut cluster = Cluster::start();
    for _ in 0..5 {
        assert_eq!(ask(&cluster, None).0, 200);
    }
    cluster.wait_height("validator-3", 8);
    for name in ["validator-3", "gateway", "inference-0"] {
        cluster.stop(name);
        let (data, good) = (cluster.file(&format!("{name}/data")), cluster.file("good"));
        assert!(system("cp", &["-a", &data, &good]));
        let mut cases: Vec<_> = files(data.as_ref())
            .into_iter()
            // After that an inference node signs nothing for minutes, as tests of its own show.
            .filter(|path| !path.ends_with("ledger/state"))
            .flat_map(|path| DAMAGES.map(|damage| (path.clone(), damage)))
            .collect();
        cases.shuffle(&mut ChaCha20Rng::seed_from_u64(seed));
        // What has no checksum to tell on it comes first.
        cases.sort_by_key(|(path, (how, _))| !is_lost_database(path, how));
        cases.truncate(if long() { LONG_SAMPLES } else { SAMPLES });
        for (path, (how, damage)) in cases {
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
            let outcome = outcome(&mut cluster, name);
            eprintln!(
                "{name}: {} {how}: {outcome}",
                path.strip_prefix(&data).unwrap().display()
            );
            fs::remove_dir_all(&data).unwrap();
            assert!(system("cp", &["-a", &good, &data]));
        }
        fs::remove_dir_all(&good).unwrap();
        cluster.start_node(name);
        cluster.wait_ready(name);
    }
}

/// Whether this damage leaves a database that looks like a new one: to go on with it would be to
/// forget what was promised, for example which requests were answered.
fn is_lost_database(path: &Path, how: &str) -> bool {
    let mut kinds = ["redb", "journal"].into_iter();
    how == "emptied" && kinds.any(|kind| path.extension().is_some_and(|it| it == kind))
}

/// Starts a node with a damaged file: either it ends with a message that says what to do, be it
/// after a while, or it is as good as the others.
fn outcome(cluster: &mut Cluster, name: &str) -> String {
    let said_before = cluster.log(name).len();
    cluster.start_node(name);
    let ended = wait_for("work or end", || match cluster.ended(name) {
        Some(status) => Some(Some(status)),
        None => does_its_work(cluster, name).then_some(None),
    });
    let Some(status) = ended else {
        cluster.stop(name);
        return "no harm".to_owned();
    };
    assert_eq!(status.code(), Some(1), "{}", cluster.log(name));
    let log = cluster.log(name).split_off(said_before);
    let error = log.lines().rfind(|line| line.contains("error: ")).unwrap();
    let says_what_to_do = ["restore", "remove", "Point data_dir"];
    let said = says_what_to_do.iter().any(|words| error.contains(words));
    assert!(said, "{error}");
    let path = cluster.path(name);
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    error.to_owned()
}

/// Whether a node is ready and as good as the others, from its first block to a new one.
fn does_its_work(cluster: &Cluster, name: &str) -> bool {
    if cluster.readiness(name).is_none_or(|it| it["ready"] != true) {
        return false;
    }
    if !name.starts_with("validator") {
        assert_eq!(ask(cluster, None).0, 200);
        return true;
    }
    let height = cluster.height("validator-0");
    [1, height / 2, height].into_iter().all(|height| {
        let expected = cluster.find_block("validator-0", height).unwrap();
        // A validator that is about to end no longer answers.
        cluster
            .find_block(name, height)
            .inspect(|found| assert_eq!(*found, expected, "{name} at {height}"))
            .is_some()
    })
}
