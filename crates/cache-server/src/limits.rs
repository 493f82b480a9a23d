//! How many requests one address may have at once, so that no client takes all of the server.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts running requests by address.
#[derive(Debug, Clone)]
pub(crate) struct PerClient {
    most: usize,
    running: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One running request; it lasts until it is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    address: IpAddr,
    running: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl PerClient {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, running: Arc::default() }
    }

    /// Admits a request; `None` when the address has too many.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<Admission> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Admission { address, running: Arc::clone(&self.running) })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_the_turns_of_another() {
        let limits = PerClient::new(2);
        let [one, other]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let held = [limits.admit(one), limits.admit(one)];
        assert!(limits.admit(one).is_none());
        assert!(limits.admit(other).is_some());
        drop(held);
        assert!(limits.admit(one).is_some());
        assert!(limits.running.lock().expect("not poisoned").is_empty());
    }
}
