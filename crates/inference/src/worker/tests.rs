//! Tests of the worker: what it signs, and what it refuses to.

use super::*;
use alloy_primitives::U256;
use og_crypto::RecordVerifier;
use og_types::{Amount, Computed, ElementType, ModelId};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

const NOW_MS: u64 = 1_700_000_000_000;

/// A worker whose clock is the returned counter.
fn worker() -> (tempfile::TempDir, Arc<Worker>, Arc<AtomicU64>) {
    let directory = tempfile::tempdir().unwrap();
    let now_ms = Arc::new(AtomicU64::new(NOW_MS));
    let clock = now_ms.clone();
    let salts = AtomicU64::new(1);
    let worker = Arc::new(Worker::new(WorkerConfig {
        key: NodeKey::from_seed([1; 32]),
        payee: Address::repeat_byte(2),
        chain_id: 3,
        genesis_hash: B256::repeat_byte(4),
        library: Arc::new(Library::open(directory.path().join("models")).unwrap()),
        ledger: Ledger::open(&directory.path().join("ledger"), 0).unwrap(),
        clock: Arc::new(move || clock.load(Ordering::SeqCst)),
        salts: Arc::new(move || B256::from(U256::from(salts.fetch_add(1, Ordering::SeqCst)))),
    }));
    (directory, worker, now_ms)
}

/// Runs a job, whose pieces nobody wants.
fn run(worker: &Arc<Worker>, job: &Job) -> Result<JobResult, JobError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(worker.run(job.clone(), Pieces::UNWANTED))
}

fn request(worker: &Worker) -> InferenceRequest {
    InferenceRequest {
        version: 1,
        model: worker.library().resolve("digits").unwrap().id,
        inputs: vec![Tensor {
            name: "image".to_owned(),
            element_type: ElementType::F32,
            shape: vec![1, 1, 8, 8],
            data: vec![0; 256].into(),
        }],
    }
}

fn job(worker: &Worker, id: u8) -> Job {
    Job {
        version: 1,
        request_id: RequestId([id; 32]),
        payer: Address::repeat_byte(5),
        price: Amount(6),
        tier: Tier::Signed,
        seed: 7,
        request: request(worker).to_bytes().into(),
    }
}

#[test]
fn a_result_says_what_was_done_and_its_signature_and_commitments_hold() {
    let (_directory, worker, _) = worker();
    let job = job(&worker, 1);
    let result = run(&worker, &job).unwrap();
    assert_eq!(JobResult::from_bytes(&result.to_bytes()).unwrap(), result);
    let record = &result.record.record;
    assert!(RecordVerifier::new(&B256::repeat_byte(4)).verify(&result.record));
    assert!(!RecordVerifier::new(&B256::repeat_byte(5)).verify(&result.record));
    let opening = &result.opening;
    assert_eq!(opening.request, job.request);
    let response = InferenceResponse::from_bytes(&opening.response).unwrap();
    assert_eq!(response.outputs[0].shape, [1, 10]);
    let salt = B256::from(U256::from(1));
    let expected = Record {
        version: 1,
        chain_id: 3,
        request_id: job.request_id,
        payer: job.payer,
        payee: Address::repeat_byte(2),
        price: job.price,
        model: request(&worker).model,
        tier: Tier::Signed,
        computed: Computed::Exact,
        valid_from_ms: NOW_MS - 60_000,
        valid_until_ms: NOW_MS + 300_000,
        input_commitment: commit_input(&salt, &job.request),
        output_commitment: commit_output(&salt, &opening.response),
        seed: 7,
        input_units: 64,
        output_units: 10,
        started_at_ms: NOW_MS,
        finished_at_ms: NOW_MS,
        node: NodeKey::from_seed([1; 32]).id(),
        evidence: None,
    };
    assert_eq!(*record, expected);
}

#[test]
fn a_request_id_gets_one_record_until_two_windows_cannot_meet() {
    let (_directory, worker, now_ms) = worker();
    let first = run(&worker, &job(&worker, 1)).unwrap().record.record;
    for later_ms in [0, RECORD_LIFETIME_MS, MAX_VALIDITY_WINDOW_MS] {
        now_ms.store(NOW_MS + later_ms, Ordering::SeqCst);
        let error = run(&worker, &job(&worker, 1)).unwrap_err();
        assert!(matches!(error, JobError::Used(_)), "{later_ms}: {error}");
    }
    run(&worker, &job(&worker, 2)).unwrap();
    now_ms.store(
        first.valid_until_ms + MAX_VALIDITY_WINDOW_MS + 1,
        Ordering::SeqCst,
    );
    // Forgetting happens when ids are taken, so another job has to come first.
    run(&worker, &job(&worker, 3)).unwrap();
    let second = run(&worker, &job(&worker, 1)).unwrap().record.record;
    assert!(second.valid_from_ms > first.valid_until_ms);
}

#[test]
fn a_job_that_fails_leaves_its_request_id_free() {
    let (_directory, worker, _) = worker();
    let mut bad = request(&worker);
    bad.inputs[0].name = "img".to_owned();
    let failing = Job {
        request: bad.to_bytes().into(),
        ..job(&worker, 1)
    };
    let error = run(&worker, &failing).unwrap_err();
    assert!(matches!(error, JobError::Input(_)), "{error}");
    run(&worker, &job(&worker, 1)).unwrap();
}

#[test]
fn what_is_not_understood_is_refused() {
    let (_directory, worker, _) = worker();
    let good = job(&worker, 1);
    let version = Job {
        version: 2,
        ..good.clone()
    };
    assert!(matches!(
        run(&worker, &version),
        Err(JobError::Version("job", 2))
    ));
    let mut request = request(&worker);
    request.version = 2;
    let version = Job {
        request: request.to_bytes().into(),
        ..good
    };
    assert!(matches!(
        run(&worker, &version),
        Err(JobError::Version("request", 2))
    ));
    request.version = 1;
    request.model = ModelId::from([9; 32]);
    let unknown = Job {
        request: request.to_bytes().into(),
        ..good
    };
    assert!(matches!(
        run(&worker, &unknown),
        Err(JobError::UnknownModel(_))
    ));
    run(&worker, &good).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A request with a flipped byte gets an answer or an error, and an answer is still signed.
    #[test]
    fn flipped_requests_are_judged(position in 0..330usize, mask in 1..=255u8) {
        let (_directory, worker, _) = worker();
        let mut job = job(&worker, 1);
        let mut bytes = job.request.to_vec();
        let position = position % bytes.len();
        bytes[position] ^= mask;
        job.request = bytes.into();
        if let Ok(result) = run(&worker, &job) {
            prop_assert!(RecordVerifier::new(&B256::repeat_byte(4)).verify(&result.record));
            prop_assert_eq!(result.opening.request, job.request);
        }
    }
}
