//! Addresses that stand for names inside the sandbox.
//!
//! An allowed name gets a number; the number gives an address of each family. Both lead to the same listener, which knows the name by the address. Nothing
//! on the host or beyond ever sees them.
//!
//! The sandbox chooses how many names it asks for, so there is a fixed number of places. The name that was asked for longest ago gives its place away first, and
//! never while a connection that was opened through it lives: its bytes would then be another host's.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use crate::policy::HostName;

/// Names at once. Each costs some 300 bytes at most with its tables, so all of them 20 MiB.
pub(super) const CAPACITY: u32 = 65_536;

/// 198.18.0.0/15 is set aside for benchmarks of network devices (RFC 2544), so no host of the Internet has an address in it.
const FIRST_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// A unique local prefix (RFC 4193) with a random identifier. Address selection (RFC 6724) prefers IPv4 to it where a program can use both.
const FIRST_V6: Ipv6Addr = Ipv6Addr::new(0xfdc7, 0x3e5b, 0x91d4, 0, 0, 0, 0, 1);

/// Names with their places.
#[derive(Debug)]
pub(super) struct Names {
    capacity: u32,
    places: Vec<Place>,
    by_name: HashMap<Rc<HostName>, u32>,
    /// Places without a connection, by the time of their last use.
    idle: BTreeSet<(u64, u32)>,
    /// Counts uses: a clock that never stands still and never goes back.
    clock: u64,
}

#[derive(Debug)]
struct Place {
    name: Rc<HostName>,
    used: u64,
    connections: usize,
}

impl Names {
    /// Without any name.
    pub(super) fn new(capacity: u32) -> Self {
        Names { capacity, places: Vec::new(), by_name: HashMap::new(), idle: BTreeSet::new(), clock: 0 }
    }

    /// The number of a name, which it keeps while it is in use; `None` where every place has a connection.
    pub(super) fn number(&mut self, name: &HostName) -> Option<u32> {
        let number = match self.by_name.get(name) {
            Some(number) => *number,
            None => self.take_place(name)?,
        };
        self.touch(number);
        Some(number)
    }

    /// The name behind an address.
    pub(super) fn name(&self, address: IpAddr) -> Option<Rc<HostName>> {
        Some(self.places[self.number_of(address)? as usize].name.clone())
    }

    fn number_of(&self, address: IpAddr) -> Option<u32> {
        let number = match address.to_canonical() {
            IpAddr::V4(v4) => u32::from(v4).checked_sub(u32::from(FIRST_V4))?,
            IpAddr::V6(v6) => u128::from(v6).checked_sub(u128::from(FIRST_V6)).and_then(|number| u32::try_from(number).ok())?,
        };
        ((number as usize) < self.places.len()).then_some(number)
    }

    /// A new place, or that of the name that was used longest ago.
    fn take_place(&mut self, name: &HostName) -> Option<u32> {
        let name = Rc::new(name.clone());
        let number = match u32::try_from(self.places.len()).ok().filter(|number| *number < self.capacity) {
            Some(number) => {
                self.places.push(Place { name: name.clone(), used: 0, connections: 0 });
                number
            }
            None => {
                let (_used, number) = self.idle.pop_first()?;
                let before = std::mem::replace(&mut self.places[number as usize].name, name.clone());
                self.by_name.remove(&before);
                number
            }
        };
        self.by_name.insert(name, number);
        Some(number)
    }

    fn touch(&mut self, number: u32) {
        self.clock += 1;
        let place = &mut self.places[number as usize];
        self.idle.remove(&(place.used, number));
        place.used = self.clock;
        if place.connections == 0 {
            self.idle.insert((place.used, number));
        }
    }

    fn hold(&mut self, number: u32) {
        self.places[number as usize].connections += 1;
        self.touch(number);
    }

    fn release(&mut self, number: u32) {
        self.places[number as usize].connections -= 1;
        self.touch(number);
    }
}

/// The IPv4 address of a number.
pub(super) fn v4(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST_V4) + number)
}

/// The IPv6 address of a number.
pub(super) fn v6(number: u32) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(FIRST_V6) + u128::from(number))
}

/// A connection's hold on the name that it was opened through.
#[derive(Debug)]
pub(super) struct Lease {
    names: Rc<RefCell<Names>>,
    number: u32,
    name: Rc<HostName>,
}

impl Lease {
    /// Holds the name behind an address; `None` where none is.
    pub(super) fn take(names: &Rc<RefCell<Names>>, address: IpAddr) -> Option<Self> {
        let mut pool = names.borrow_mut();
        let number = pool.number_of(address)?;
        pool.hold(number);
        let name = pool.places[number as usize].name.clone();
        Some(Lease { names: names.clone(), number, name })
    }

    /// The name.
    pub(super) fn name(&self) -> &HostName {
        &self.name
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.names.borrow_mut().release(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Host;

    fn name(text: &str) -> HostName {
        Host::parse(text).unwrap().name().unwrap().clone()
    }

    fn pool(capacity: u32) -> Rc<RefCell<Names>> {
        Rc::new(RefCell::new(Names::new(capacity)))
    }

    #[test]
    fn a_name_keeps_its_number_and_both_its_addresses_lead_back() {
        let pool = pool(10);
        let number = pool.borrow_mut().number(&name("a.example.com")).unwrap();
        pool.borrow_mut().number(&name("b.example.com")).unwrap();
        assert_eq!(pool.borrow_mut().number(&name("A.example.com.")), Some(number));
        for address in [IpAddr::from(v4(number)), v6(number).into(), v4(number).to_ipv6_mapped().into()] {
            assert_eq!(pool.borrow().name(address).unwrap().as_str(), "a.example.com", "{address}");
        }
        for address in ["198.18.0.0", "198.18.0.3", "198.20.0.1", "fdc7:3e5b:91d4::", "fdc7:3e5b:91d4::3", "::1", "::"] {
            assert_eq!(pool.borrow().name(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn every_number_has_an_address_in_the_block_that_is_set_aside() {
        assert_eq!((v4(0), v4(CAPACITY - 1)), (FIRST_V4, Ipv4Addr::new(198, 19, 0, 0)));
        let own = crate::plan::OWN_ADDRESSES;
        assert!(own.0 > v4(CAPACITY - 1) && own.1 > v6(CAPACITY - 1), "the sandbox's own addresses stand for no name");
        assert_eq!(v6(CAPACITY - 1), "fdc7:3e5b:91d4::1:0".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn the_name_used_longest_ago_gives_its_place_away_first() {
        let pool = pool(3);
        let number = |text: &str| pool.borrow_mut().number(&name(text)).unwrap();
        let (a, b, c) = (number("a.com"), number("b.com"), number("c.com"));
        assert_eq!(number("a.com"), a);
        assert_eq!(number("d.com"), b);
        assert_eq!(number("e.com"), c);
        assert_eq!(pool.borrow().name(v4(a).into()).unwrap().as_str(), "a.com");
        assert_eq!(pool.borrow().name(v6(b).into()).unwrap().as_str(), "d.com");
        assert_eq!(number("b.com"), a, "the name that lost its place gets another");
    }

    #[test]
    fn a_name_with_a_connection_keeps_its_place_and_where_all_have_one_there_is_no_more() {
        let pool = pool(2);
        let number = |text: &str| pool.borrow_mut().number(&name(text));
        let a = number("a.com").unwrap();
        let (first, second) = (Lease::take(&pool, v4(a).into()).unwrap(), Lease::take(&pool, v6(a).into()).unwrap());
        let b = number("b.com").unwrap();
        assert_eq!(number("c.com"), Some(b));
        let held = Lease::take(&pool, v4(b).into()).unwrap();
        assert_eq!(held.name().as_str(), "c.com");
        assert_eq!(number("d.com"), None);
        assert_eq!(number("a.com"), Some(a), "names that have a place are still answered");
        drop(first);
        assert_eq!(number("d.com"), None, "another connection lives");
        drop(second);
        assert_eq!(number("d.com"), Some(a));
        assert_eq!(held.name().as_str(), "c.com");
    }

    #[test]
    fn a_hundred_thousand_names_find_a_place() {
        let pool = pool(CAPACITY);
        let mut numbers = std::collections::HashSet::new();
        for count in 0..100_000 {
            numbers.insert(pool.borrow_mut().number(&name(&format!("n{count}.example.com"))).unwrap());
        }
        assert_eq!(numbers.len(), CAPACITY as usize);
        assert_eq!(pool.borrow().by_name.len(), CAPACITY as usize);
        assert_eq!(pool.borrow().idle.len(), CAPACITY as usize);
    }
}
