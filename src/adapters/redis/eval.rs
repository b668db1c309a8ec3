//! Scripts, called by their hash: as commands of a pipeline, so that what must go before or after one goes with it.

use redis::{Pipeline, ToRedisArgs};

/// A script that the server knows by its hash once it was loaded.
pub(super) struct Script(redis::Script, &'static str);

/// A call of a script. It holds values of records, so it has no `Debug`.
pub(super) struct Invocation {
    script: &'static Script,
    keys: Vec<String>,
    words: Vec<Vec<u8>>,
}

/// What a call is sent with.
#[derive(Clone, Copy, Default)]
pub(super) struct Sending {
    /// The script first: the server had forgotten it.
    pub(super) load: bool,
    /// The word that lets a node do it for a slot that is just being given to it.
    pub(super) asking: bool,
    /// Replicas to wait for, and how many milliseconds at most.
    pub(super) wait: Option<(u32, u64)>,
}

impl Script {
    pub(super) fn new(text: &'static str) -> Self {
        Self(redis::Script::new(text), text)
    }

    pub(super) fn prepare_invoke(&'static self) -> Invocation {
        Invocation { script: self, keys: Vec::new(), words: Vec::new() }
    }
}

impl Invocation {
    pub(super) fn key(&mut self, key: &str) -> &mut Self {
        self.keys.push(key.to_owned());
        self
    }

    pub(super) fn arg(&mut self, word: impl ToRedisArgs) -> &mut Self {
        word.write_redis_args(&mut self.words);
        self
    }

    /// The commands, and the place of the call among them.
    pub(super) fn pipeline(&self, sending: Sending) -> (Pipeline, usize) {
        let mut pipeline = Pipeline::with_capacity(4);
        let mut place = 0;
        if sending.load {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(self.script.1);
            place += 1;
        }
        if sending.asking {
            pipeline.cmd("ASKING");
            place += 1;
        }
        pipeline.cmd("EVALSHA").arg(self.script.0.get_hash()).arg(self.keys.len()).arg(&self.keys);
        for word in &self.words {
            pipeline.arg(word.as_slice());
        }
        if let Some((replicas, patience)) = sending.wait {
            pipeline.cmd("WAIT").arg(replicas).arg(patience);
        }
        (pipeline, place)
    }
}
