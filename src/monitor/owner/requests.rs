//! Requests for one-off rounds, and clients that no longer wait for one.

use std::time::Instant;

use super::super::TargetId;
use super::super::once::{Departure, OneOff, OneOffError, OneOffRequest};
use super::super::target_state::{AdHoc, Origin};
use super::super::targets::MAX_ONE_OFFS;
use super::Owner;
use crate::net::QueueFull;

impl Owner {
    /// Refuses a request, lets it join the round in progress, or queues it.
    pub(super) fn request_one_off(&mut self, request: OneOffRequest) {
        // A round that its last client has left must not be joined.
        self.apply_departures();
        if let Err(error) = self.targets.one_off_rules(&request.kind) {
            return answer(request, Err(error));
        }
        if let Some(id) = self.targets.one_off_of(&request.kind) {
            return self.join_one_off(id, request);
        }
        let requests = &mut self.targets.one_off_requests;
        // Clients that have disconnected wait no more.
        if requests.is_full(request.client) {
            requests.retain(|request| !request.reply.is_closed());
        }
        match requests.make_room(request.client) {
            Ok(dropped) => dropped.into_iter().for_each(|dropped| answer(dropped, Err(OneOffError::TooMany))),
            Err(QueueFull) => return answer(request, Err(OneOffError::TooMany)),
        }
        self.one_off_number += 1;
        self.targets.one_off_requests.insert(request.client, self.one_off_number, request);
    }

    /// Starts the rounds of the next requests.
    pub(super) fn start_one_offs(&mut self) {
        loop {
            let free = MAX_ONE_OFFS.saturating_sub(self.targets.one_off_count());
            let requests = &mut self.targets.one_off_requests;
            let Some((client, order)) = requests.next(free, MAX_ONE_OFFS) else { return };
            let Some(request) = requests.remove(client, &order).filter(|request| !request.reply.is_closed()) else {
                continue;
            };
            // What is permitted, and what is in progress, may have changed while it waited.
            if let Some(id) = self.targets.one_off_of(&request.kind) {
                self.join_one_off(id, request);
                continue;
            }
            match self.targets.add_one_off(request.kind.clone(), client, &self.worker) {
                Ok(id) => {
                    self.join_one_off(id, request);
                    self.begin_round(id, true, Instant::now());
                }
                Err(error) => answer(request, Err(error)),
            }
        }
    }

    fn join_one_off(&mut self, id: TargetId, request: OneOffRequest) {
        let Some(origin) = self.ad_hoc(id) else { return };
        let client = request.client;
        origin.clients.push(client);
        let reports = origin.reports.subscribe();
        let one_off = OneOff::new(reports, Departure { target: id, client }, self.departures.0.clone());
        answer(request, Ok(one_off));
        self.share_probes(id);
    }

    pub(super) fn apply_departures(&mut self) {
        while let Ok(departure) = self.departures.1.try_recv() {
            self.departed(departure);
        }
    }

    /// A client no longer waits for a one-off round. If it was the last one, the round is given up.
    pub(super) fn departed(&mut self, departure: Departure) {
        let Some(origin) = self.ad_hoc(departure.target) else { return };
        let Some(at) = origin.clients.iter().position(|client| *client == departure.client) else { return };
        origin.clients.swap_remove(at);
        if origin.clients.is_empty() {
            self.give_up(departure.target);
        } else {
            self.share_probes(departure.target);
        }
    }

    /// Ends a one-off round: what is queued of it is dropped, and what is running is cancelled unless others wait for it.
    fn give_up(&mut self, id: TargetId) {
        if let Some(origin) = self.ad_hoc(id) {
            origin.cancel.cancel();
        }
        let backends = self.targets.backends_of(id);
        self.targets.remove_one_off(id);
        self.lookups.retain(|(target, _)| *target != id);
        for backend in backends {
            if !self.targets.dedup.stop_waiting(backend, id) {
                let clients = self.targets.clients_of(backend);
                self.admission.set_clients(backend, clients);
            } else if self.admission.cancel(backend) {
                self.targets.dedup.probe_ended(backend);
            } else if let Some(cancel) = self.running_ad_hoc.get(&backend) {
                cancel.cancel();
            }
        }
    }

    /// The queued probes of a round are in the queues of all clients that wait for them.
    fn share_probes(&mut self, id: TargetId) {
        for backend in self.targets.backends_of(id) {
            let clients = self.targets.clients_of(backend);
            self.admission.set_clients(backend, clients);
        }
    }

    fn ad_hoc(&mut self, id: TargetId) -> Option<&mut AdHoc> {
        match self.targets.get_mut(id).map(|state| &mut state.origin) {
            Some(Origin::AdHoc(origin)) => Some(origin),
            Some(Origin::Configured { .. }) | None => None,
        }
    }
}

/// If the client has disconnected, its departure follows when its part in the round is dropped here.
fn answer(request: OneOffRequest, answer: Result<OneOff, OneOffError>) {
    drop(request.reply.send(answer));
}
