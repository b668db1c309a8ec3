//! What is asked for: requests that lie ready as bytes.

use super::fill;
use std::sync::Arc;

/// Which tokens a load asks for.
#[derive(Clone)]
pub enum Asked {
    /// Each of these in turn.
    These(Arc<Vec<Vec<u8>>>),
    /// One of a crowd, each as likely as any other.
    Crowd(Arc<Crowd>),
}

/// A request for one of a crowd.
pub struct Crowd {
    request: Vec<u8>,
    /// Where the digits of the name stand in it.
    digits: usize,
    count: usize,
}

impl Asked {
    /// The crowd of so many, asked for as `request` asks for its first.
    pub fn crowd(request: Vec<u8>, count: usize) -> Self {
        let first = fill::name(0);
        let at = request.windows(first.len()).position(|here| here == first.as_bytes());
        let digits = at.expect("the name of the first") + first.len() - fill::DIGITS;
        Self::Crowd(Arc::new(Crowd { request, digits, count }))
    }

    /// What one connection of several asks for.
    pub fn by(&self, number: usize, of: usize) -> Asker {
        let request = match self {
            Self::These(_) => Vec::new(),
            Self::Crowd(crowd) => crowd.request.clone(),
        };
        Asker { asked: self.clone(), next: number, step: of, dice: number as u64, request }
    }
}

/// One connection's requests, one after the other.
pub struct Asker {
    asked: Asked,
    next: usize,
    step: usize,
    dice: u64,
    request: Vec<u8>,
}

impl Asker {
    pub fn next(&mut self) -> &[u8] {
        match &self.asked {
            Asked::These(requests) => {
                let request = &requests[self.next % requests.len()];
                self.next += self.step;
                request
            }
            Asked::Crowd(crowd) => {
                // SplitMix64 (Steele, Lea, Flood 2014).
                self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = self.dice;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                let mut number = (z ^ (z >> 31)) as usize % crowd.count;
                for place in self.request[crowd.digits..crowd.digits + fill::DIGITS].iter_mut().rev() {
                    *place = b'0' + (number % 10) as u8;
                    number /= 10;
                }
                &self.request
            }
        }
    }
}
