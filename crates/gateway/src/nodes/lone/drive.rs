//! Polling a request and the connection that carries it in one task, without waking that task for what the one tells the other.
//!
//! tokio takes a task that wakes itself for one that yields, and wakes another thread to share the work: that takes longer than the
//! work.

use futures::task::AtomicWaker;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// How often the two are polled one after the other before other tasks have their turn.
const MAX_TURNS: usize = 16;

/// What wakes the task that drives a connection, unless that is what it does just now.
#[derive(Default)]
pub(super) struct Nudge {
    task: AtomicWaker,
    is_polling: AtomicBool,
    /// Something happened since the last turn.
    is_news: AtomicBool,
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_news.store(true, Ordering::SeqCst);
        if !self.is_polling.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

impl Nudge {
    /// What `request` comes to, while `connection` is driven, even if that ends before.
    pub(super) async fn drive<T>(
        self: &Arc<Self>,
        mut request: Pin<&mut impl Future<Output = T>>,
        mut connection: Pin<&mut impl Future>,
    ) -> T {
        let waker = Waker::from(Arc::clone(self));
        let mut has_ended = false;
        let answer = poll_fn(|task| {
            self.task.register(task.waker());
            self.is_polling.store(true, Ordering::SeqCst);
            let mut context = Context::from_waker(&waker);
            let mut polled = Poll::Pending;
            for _ in 0..MAX_TURNS {
                self.is_news.store(false, Ordering::SeqCst);
                polled = request.as_mut().poll(&mut context);
                if polled.is_ready() {
                    break;
                }
                if !has_ended && connection.as_mut().poll(&mut context).is_ready() {
                    has_ended = true;
                } else if !self.is_news.load(Ordering::SeqCst) {
                    break;
                }
            }
            self.is_polling.store(false, Ordering::SeqCst);
            // Another thread may have had news just now, or there was more than is done in one go.
            if polled.is_pending() && self.is_news.load(Ordering::SeqCst) {
                task.waker().wake_by_ref();
            }
            polled
        })
        .await;
        self.task.take();
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt as _, task::waker};
    use futures::{channel::mpsc, task::ArcWake};
    use std::{pin::pin, sync::atomic::AtomicUsize};

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl ArcWake for Count {
        fn wake_by_ref(count: &Arc<Self>) {
            count.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn two_that_talk_to_each_other_wake_nobody() {
        let (mut ask, mut asked) = mpsc::channel::<u32>(1);
        let (mut tell, mut told) = mpsc::channel(1);
        let request = async move {
            let mut sum = 0;
            for number in 0..3 {
                ask.try_send(number).unwrap();
                sum += told.next().await.unwrap_or(0);
            }
            sum
        };
        let connection = async move {
            while let Some(number) = asked.next().await {
                tell.try_send(number * 10).unwrap();
            }
        };
        let woken = Arc::new(Count::default());
        let waker = waker(woken.clone());
        let nudge = Arc::new(Nudge::default());
        let (request, connection) = (pin!(request), pin!(connection));
        let mut driven = pin!(nudge.drive(request, connection));
        let polled = driven.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Ready(30));
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn news_from_outside_and_endless_talk_wake_the_task() {
        let (mut outside, mut inside) = mpsc::channel::<u32>(1);
        let woken = Arc::new(Count::default());
        let waker = waker(woken.clone());
        let mut context = Context::from_waker(&waker);
        let nudge = Arc::new(Nudge::default());
        let (request, connection) = (pin!(inside.next()), pin!(std::future::pending::<()>()));
        let mut driven = pin!(nudge.drive(request, connection));
        assert!(driven.as_mut().poll(&mut context).is_pending());
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        outside.try_send(7).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert_eq!(driven.as_mut().poll(&mut context), Poll::Ready(Some(7)));

        let restless = poll_fn(|context: &mut Context<'_>| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let (request, connection) = (pin!(restless), pin!(std::future::pending::<()>()));
        let mut driven = pin!(nudge.drive(request, connection));
        assert!(driven.as_mut().poll(&mut context).is_pending());
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_request_outlives_its_connection() {
        let nudge = Arc::new(Nudge::default());
        let request = pin!(async {
            tokio::task::yield_now().await;
            5
        });
        assert_eq!(nudge.drive(request, pin!(std::future::ready(()))).await, 5);
    }
}
