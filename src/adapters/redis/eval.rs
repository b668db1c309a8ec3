//! Scripts, called by their hash: as commands of a pipeline, so that what must go before or after one goes with it.

use redis::Pipeline;

/// A script that the server knows by its hash once it was loaded.
pub(super) struct Script(redis::Script, &'static str);

/// A call of a script. It holds values of records, so it has no `Debug`.
pub(super) struct Invocation {
    script: &'static Script,
    keys: Words,
    words: Words,
}

/// Words one behind the other: a batch has thousands, and each would be an allocation of its own.
#[derive(Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    pub(super) fn push(&mut self, word: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(word.as_ref());
        self.ends.push(self.bytes.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins.zip(&self.ends).filter_map(|(begin, end)| self.bytes.get(*begin..*end))
    }
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
        Invocation { script: self, keys: Words::default(), words: Words::default() }
    }
}

impl Invocation {
    pub(super) fn key(&mut self, key: &str) -> &mut Self {
        self.keys.push(key);
        self
    }

    pub(super) fn arg(&mut self, word: impl AsRef<[u8]>) -> &mut Self {
        self.words.push(word);
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
        pipeline.cmd("EVALSHA").arg(self.script.0.get_hash()).arg(self.keys.len());
        for word in self.keys.iter().chain(self.words.iter()) {
            pipeline.arg(word);
        }
        if let Some((replicas, patience)) = sending.wait {
            pipeline.cmd("WAIT").arg(replicas).arg(patience);
        }
        (pipeline, place)
    }
}
