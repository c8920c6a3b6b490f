//! Places for requests in progress, which clients share. Requests wait for a place in a queue of limited size.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::net::{ClientAddress, QueueFull, Shares};

/// A number of places, see [`Shares`]. Cheap to clone.
#[derive(Clone)]
pub(super) struct Places(Arc<Mutex<State>>);

struct State {
    total: usize,
    free: usize,
    requests: Shares<u64, oneshot::Sender<Place>>,
    /// The number of the last request.
    last: u64,
}

/// A place of a request in progress. Dropping it frees it.
pub(super) struct Place {
    places: Places,
    client: ClientAddress,
}

/// A request that waits. Dropping it ends the wait.
struct Waiting {
    places: Places,
    client: ClientAddress,
    number: u64,
}

impl Places {
    pub(super) fn new(total: usize) -> Self {
        Self(Arc::new(Mutex::new(State { total, free: total, requests: Shares::default(), last: 0 })))
    }

    /// Waits for a place. Dropping the future ends the wait.
    ///
    /// # Errors
    /// If too many requests wait.
    pub(super) async fn take(&self, client: ClientAddress) -> Result<Place, QueueFull> {
        let (sender, place) = oneshot::channel();
        let (waiting, dropped) = {
            let mut state = self.0.lock();
            let dropped = state.requests.make_room(client)?;
            state.last += 1;
            let number = state.last;
            state.requests.insert(client, number, sender);
            (Waiting { places: self.clone(), client, number }, dropped)
        };
        drop(dropped);
        self.hand_out();
        let place = place.await;
        drop(waiting);
        // The sender is dropped to make room for another client.
        place.map_err(|_| QueueFull)
    }

    fn hand_out(&self) {
        loop {
            let next = self.0.lock().next();
            let Some((client, sender)) = next else { return };
            // If the request has just ended, the place comes back and is free again.
            drop(sender.send(Place { places: self.clone(), client }));
        }
    }
}

impl State {
    /// The next request that gets a place.
    fn next(&mut self) -> Option<(ClientAddress, oneshot::Sender<Place>)> {
        let (client, number) = self.requests.next(self.free, self.total)?;
        let sender = self.requests.remove(client, &number)?;
        self.requests.hold(client);
        self.free -= 1;
        Some((client, sender))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.0.lock();
        state.free += 1;
        state.requests.release(self.client);
        drop(state);
        self.places.hand_out();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let removed = self.places.0.lock().requests.remove(self.client, &self.number);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    fn client(number: u8) -> ClientAddress {
        IpAddr::from([192, 0, 2, number]).into()
    }

    type Request = BoxFuture<'static, Result<Place, QueueFull>>;

    /// Requests of a client, each polled once.
    fn requests(places: &Places, number: u8, count: usize) -> (Vec<Place>, Vec<Request>) {
        let (mut taken, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let places = places.clone();
            let mut request = async move { places.take(client(number)).await }.boxed();
            match (&mut request).now_or_never() {
                Some(place) => taken.push(place.expect("room in the queue")),
                None => waiting.push(request),
            }
        }
        (taken, waiting)
    }

    #[test]
    fn requests_wait_for_a_place() {
        let places = Places::new(8);
        let (mut first, mut waiting) = requests(&places, 1, 10);
        assert_eq!((first.len(), waiting.len()), (6, 4));
        let (second, _) = requests(&places, 2, 1);
        assert_eq!(second.len(), 1, "the reserve is for others");
        // A client that disconnects waits no more, and one that has received its place returns it.
        drop(waiting.remove(0));
        first.truncate(3);
        let mut more: Vec<Place> = waiting.iter_mut().filter_map(|it| it.now_or_never()?.ok()).collect();
        assert_eq!(more.len(), 2);
        drop(waiting);
        more.extend(first);
        more.extend(second);
        drop(more);
        let state = places.0.lock();
        assert_eq!((state.free, state.requests.waiting()), (8, 0));
    }

    #[test]
    fn the_queue_is_limited() {
        let places = Places::new(1);
        let (_first, waiting) = requests(&places, 1, 129);
        assert_eq!(waiting.len(), 128);
        let full = places.take(client(1)).now_or_never().expect("an immediate answer");
        assert_eq!(full.err(), Some(QueueFull));
    }
}
