//! Questions and answers, without terminal and without program.

use std::rc::Rc;

use super::*;

fn target(text: &str) -> Target {
    Target::parse(text).unwrap()
}

/// On one thread, with a clock that jumps to the next timer.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn asking(asker: &Rc<Asker>, text: &str) -> tokio::task::JoinHandle<Decision> {
    let (asker, target) = (asker.clone(), target(text));
    tokio::task::spawn_local(async move { asker.ask(&target).await })
}

const ONCE: Answer = Answer { allow: true, remember: Remember::Once };
const NEVER: Answer = Answer { allow: false, remember: Remember::Run };

#[test]
fn all_who_ask_for_one_destination_get_the_answer_to_one_question() {
    run(async {
        let (asker, mut questions) = Asker::new();
        let asker = Rc::new(asker);
        let clients: Vec<_> = (0..50).map(|_| asking(&asker, "a.example:443")).collect();
        let question = questions.recv().await.unwrap();
        tokio::task::yield_now().await;
        assert!(questions.try_recv().is_err(), "a second question");
        assert!(asker.answer(question.id, ONCE));
        for client in clients {
            assert_eq!(client.await.unwrap(), Decision::Allowed);
        }
        assert!(!asker.answer(question.id, ONCE), "answered twice");
    });
}

#[test]
fn once_holds_once_and_the_others_for_the_run() {
    run(async {
        let (asker, mut questions) = Asker::new();
        let asker = Rc::new(asker);
        for (answer, remembered) in [(ONCE, false), (NEVER, true)] {
            let client = asking(&asker, "a.example:443");
            let question = questions.recv().await.unwrap();
            asker.answer(question.id, answer);
            client.await.unwrap();
            let again = asking(&asker, "a.example:443");
            let other_port = asking(&asker, "a.example:80");
            for _ in 0..=usize::from(!remembered) {
                let question = questions.recv().await.unwrap();
                assert!(!remembered || question.target == target("a.example:80"));
                asker.answer(question.id, ONCE);
            }
            assert_eq!(again.await.unwrap(), if remembered { Decision::Denied } else { Decision::Allowed });
            assert_eq!(other_port.await.unwrap(), Decision::Allowed);
        }
    });
}

#[test]
fn a_question_without_an_answer_ends_as_a_denial() {
    run(async {
        let (asker, mut questions) = Asker::new();
        let asker = Rc::new(asker);
        let client = asking(&asker, "a.example:443");
        let question = questions.recv().await.unwrap();
        assert_eq!(client.await.unwrap(), Decision::Undecided("nobody answered in time"));
        assert!(!asker.answer(question.id, ONCE), "an answer that comes too late");
        let client = asking(&asker, "b.example:443");
        tokio::task::yield_now().await;
        asker.close();
        assert!(matches!(client.await.unwrap(), Decision::Undecided(_)));
        assert!(matches!(asker.ask(&target("c.example:443")).await, Decision::Undecided(_)));
        assert!(!asker.is_open());
    });
}

#[test]
fn a_flood_is_denied_without_being_asked() {
    run(async {
        let (asker, mut questions) = Asker::new();
        let asker = Rc::new(asker);
        let clients: Vec<_> = (0..1000).map(|number| asking(&asker, &format!("{number}.example:443"))).collect();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let put = std::iter::from_fn(|| questions.try_recv().ok()).count();
        assert!((5..=PENDING).contains(&put), "{put}");
        let denied = clients.iter().filter(|client| client.is_finished()).count();
        assert_eq!(denied + put, 1000);
    });
}
