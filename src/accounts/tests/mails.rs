//! A mail is sent until it is gone, and every link that may have arrived is good.

use super::*;
use crate::vault::Vault;

fn later() -> MailError {
    MailError::Temporary("451 later".to_owned())
}

impl House {
    fn fails(&self, faults: impl IntoIterator<Item = MailError>) {
        self.mailer.faults.lock().unwrap().extend(faults);
    }

    /// What waits in the queue.
    async fn queued(&self) -> usize {
        let vault = &self.accounts.vault;
        let mut count = 0;
        for shard in vault.mails().shards() {
            count += vault.mails().waiting(shard).await.unwrap().len();
        }
        count
    }

    /// What came so far.
    fn came(&mut self) -> Vec<Mail> {
        std::iter::from_fn(|| self.mails.try_recv().ok()).collect()
    }
}

#[tokio::test]
async fn a_mail_that_failed_is_sent_again_with_pauses_that_grow() {
    let mut house = House::new();
    house.fails([later(), later(), later()]);
    house.sign_up(ADA, PASSWORD, None).await.unwrap();
    house.settle().await;
    assert_eq!((house.came().len(), house.queued().await), (1, 1));
    // Between half of 5 s, 10 s, 20 s, and all of it.
    for pause in [5, 10, 20] {
        house.clock.advance(Duration::from_millis(pause * 500 - 1));
        house.accounts.send_due_mails().await;
        assert_eq!(house.came().len(), 0, "not before half of {pause} s");
        house.clock.advance(Duration::from_millis(pause * 500 + 2));
        house.accounts.send_due_mails().await;
        assert_eq!(house.came().len(), 1, "after {pause} s");
    }
    assert_eq!(house.queued().await, 0);
    house.clock.advance(Duration::from_hours(2));
    house.accounts.send_due_mails().await;
    assert_eq!(house.came().len(), 0, "it was sent");
}

#[tokio::test]
async fn a_refused_mail_is_not_tried_again() {
    let mut house = House::new();
    house.fails([MailError::Permanent("550 no such mailbox".to_owned())]);
    house.sign_up(ADA, PASSWORD, None).await.unwrap();
    house.settle().await;
    assert_eq!((house.came().len(), house.queued().await), (1, 0));
    let link = house.came();
    assert!(link.is_empty());
}

#[tokio::test]
async fn a_link_that_nobody_got_is_gone_and_one_that_may_have_come_is_good() {
    let mut house = House::new();
    house.fails([later(), MailError::Unknown("no answer after the mail".to_owned())]);
    house.sign_up(ADA, PASSWORD, None).await.unwrap();
    house.settle().await;
    for _ in 0..2 {
        house.clock.advance(Duration::from_secs(30));
        house.accounts.send_due_mails().await;
    }
    let tokens: Vec<Ticket> = house.came().iter().map(token).collect();
    let [refused, doubtful, sent] = &tokens[..] else { panic!("{} tries", tokens.len()) };
    assert!(house.accounts.pending(refused).await.unwrap().is_none());
    let activated = house.accounts.verify(doubtful, &Origin::default()).await.unwrap();
    assert!(matches!(activated, Activation::Activated(_)), "{activated:?}");
    assert!(house.login(ADA, PASSWORD).await.is_ok());
    // The other link of the same sign-up says the same, and makes nothing anew.
    assert_eq!(house.accounts.verify(sent, &Origin::default()).await.unwrap(), activated);
    assert!(house.login(ADA, PASSWORD).await.is_ok());
}

/// Two mails came, one link was followed, and the tenant that it made was deleted.
#[tokio::test]
async fn a_link_that_is_left_over_does_not_make_a_deleted_tenant_again() {
    let mut house = House::new();
    house.fails([MailError::Unknown("no answer after the mail".to_owned())]);
    house.sign_up(ADA, PASSWORD, None).await.unwrap();
    house.settle().await;
    house.clock.advance(Duration::from_secs(30));
    house.accounts.send_due_mails().await;
    let tokens: Vec<Ticket> = house.came().iter().map(token).collect();
    let [first, second] = &tokens[..] else { panic!("{} tries", tokens.len()) };
    let Activation::Activated(gone) = house.accounts.verify(first, &Origin::default()).await.unwrap() else {
        panic!("not activated")
    };
    let caller = house.login(ADA, PASSWORD).await.unwrap();
    let leaving = house.accounts.vault.leaving();
    assert!(leaving.mark(caller.authority()).await.unwrap());
    let going = leaving.take(&gone, Duration::from_secs(1)).await.unwrap().unwrap();
    leaving.finish(&going).await.unwrap();
    let again = house.accounts.verify(second, &Origin::default()).await.unwrap();
    assert!(matches!(&again, Activation::Activated(made) if *made != gone), "{again:?}");
    assert!(house.login(ADA, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_mail_is_given_up_in_the_end() {
    let mut house = House::with(|settings| settings.mail.keep_trying = Duration::from_mins(1), true);
    house.fails((0..9).map(|_| later()));
    house.sign_up(ADA, PASSWORD, None).await.unwrap();
    house.settle().await;
    for _ in 0..4 {
        house.clock.advance(Duration::from_secs(21));
        house.accounts.send_due_mails().await;
    }
    assert_eq!((house.came().len(), house.queued().await), (3, 0));
}

#[tokio::test]
async fn what_the_operator_has_to_mend_holds_up_all_and_loses_none() {
    let mut house = House::new();
    let setup = || MailError::Setup("535 bad credentials".to_owned());
    house.fails((0..30).map(|_| setup()));
    for n in 0..20 {
        house.sign_up(&format!("ada{n}@example.com"), PASSWORD, None).await.unwrap();
    }
    house.settle().await;
    assert_eq!(house.came().len(), 20);
    house.clock.advance(Duration::from_mins(1));
    house.accounts.send_due_mails().await;
    let tried = house.came().len();
    assert!((1..=8).contains(&tried), "{tried} tries and not all");
    house.mailer.faults.lock().unwrap().clear();
    house.clock.advance(Duration::from_mins(1));
    house.accounts.send_due_mails().await;
    assert_eq!((house.came().len(), house.queued().await), (20, 0));
}

#[tokio::test]
async fn of_two_servers_one_sends_and_a_dead_ones_mail_comes_due() {
    // This one never gets an answer of its mail server, as one that was killed in the middle.
    let stuck = House::with(|_| {}, false);
    stuck.sign_up(ADA, PASSWORD, None).await.unwrap();
    let mut other = House::new();
    let keyring = Keyring::new([("k1", &[7; 32])]).unwrap();
    let vault = Vault::new(stuck.store.clone(), stuck.clock.clone(), Arc::new(SystemChance), keyring);
    let settings = other.accounts.settings.clone();
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let (at, chance) = (other.mailer.clone(), other.chance.clone());
    let second = Accounts::new(Arc::new(vault), stuck.clock.clone(), chance, at, tasks, settings);
    stuck.clock.advance(Duration::from_secs(39));
    second.send_due_mails().await;
    assert_eq!(other.came().len(), 0, "the first one has it for 40 s");
    stuck.clock.advance(Duration::from_secs(2));
    tokio::join!(second.send_due_mails(), second.send_due_mails());
    assert_eq!((other.came().len(), stuck.queued().await), (1, 0));
}

#[tokio::test]
async fn what_nobody_is_to_get_costs_as_much_and_goes_away() {
    let mut house = House::with(|settings| settings.mails_per_hour = 1, true);
    let mut costs = Vec::new();
    for _ in 0..2 {
        house.reads();
        house.writes();
        house.sign_up(ADA, PASSWORD, None).await.unwrap();
        costs.push((house.reads(), house.writes()));
        house.settle().await;
    }
    assert_eq!(costs, [(1, 2), (1, 2)]);
    assert_eq!((house.came().len(), house.queued().await), (1, 1));
    house.clock.advance(Duration::from_secs(41));
    house.accounts.send_due_mails().await;
    assert_eq!((house.came().len(), house.queued().await), (0, 0), "nothing of it is sent, nothing stays");
}
