//! Clients that ask one question after another, and remember what they were answered.

use super::{
    cluster::{Cluster, get},
    support::{post, wait_for},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Clients that ask at the same time.
const CLIENTS: usize = 4;

fn question(id: Option<&str>) -> String {
    let row = json!([0, 0, 5, 13, 9, 1, 0, 0]);
    let picture = json!([[[row, row, row, row, row, row, row, row]]]);
    let mut question = json!({ "model": "digits", "inputs": { "image": picture } });
    if let Some(id) = id {
        question["request_id"] = json!(id);
    }
    question.to_string()
}

/// Asks the gateway one question; the status and the answer.
pub(crate) fn ask(cluster: &Cluster, id: Option<&str>) -> (u16, Value) {
    let (status, text) = post(&format!("{}/v1/infer", cluster.gateway()), question(id));
    (status, serde_json::from_str(&text).unwrap())
}

/// Asks the gateway for a receipt: the status and what is there.
pub(crate) fn receipt(cluster: &Cluster, id: &str) -> (u16, String) {
    let url = format!("{}/v1/receipts/{id}?format=json", cluster.gateway());
    get(&url).unwrap()
}

/// Clients that run until they are stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(Mutex::new(Vec::new()));
        let url = format!("{}/v1/infer", cluster.gateway());
        let clients = (0..CLIENTS)
            .map(|_| {
                let (stop, answered, url) = (stop.clone(), answered.clone(), url.clone());
                thread::spawn(move || client(&url, &stop, &answered))
            })
            .collect();
        Self {
            stop,
            answered,
            clients,
        }
    }

    /// Waits for the first answer.
    pub(crate) fn wait_answer(&self) {
        wait_for("answer", || {
            let is_answered = !self.answered.lock().unwrap().is_empty();
            is_answered.then_some(())
        });
    }

    /// Ends the load; the request ids of all answers that were given.
    pub(crate) fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        std::mem::take(&mut *self.answered.lock().unwrap())
    }
}

fn client(url: &str, stop: &AtomicBool, answered: &Mutex<Vec<String>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let http = reqwest::Client::new();
    runtime.block_on(async {
        while !stop.load(Ordering::Relaxed) {
            // What fails while nodes are killed is no answer, and promises nothing.
            if let Some(id) = answer(&http, url).await {
                answered.lock().unwrap().push(id);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

async fn answer(http: &reqwest::Client, url: &str) -> Option<String> {
    let request = http.post(url).body(question(None));
    let response = request.timeout(Duration::from_secs(5)).send().await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let answer: Value = response.json().await.ok()?;
    Some(answer["request_id"].as_str()?.to_owned())
}
