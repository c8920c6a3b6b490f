//! Where the endpoints get their data.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready as at_once};

use crate::monitor::{Handle, OneOff, OneOffError};
use crate::net::ClientAddress;
use crate::snapshot::{ExporterReport, Fleet, TargetReport};
use crate::target::{NotAllowed, ProbeAccess, ServerName, TargetKind, TargetName};

/// Where the endpoints get their data.
pub trait FleetSource: Send + Sync + 'static {
    /// The current reports.
    fn fleet(&self) -> Fleet;
    /// Whether a configuration is loaded and probes are being scheduled.
    fn is_ready(&self) -> bool;

    /// As [`Handle::exporter`].
    fn exporter(&self) -> ExporterReport {
        self.fleet().exporter
    }

    /// As [`Handle::find`]. By default, all reports are searched.
    fn find(&self, name: &str) -> Option<Arc<TargetReport>> {
        self.fleet().targets.into_iter().find(|report| report.target.name.as_str() == name)
    }

    /// As [`Handle::find_service`]. By default, no target is found.
    fn find_service(&self, kind: &TargetKind, server_name: Option<&ServerName>) -> Option<Arc<TargetReport>> {
        let _ = (kind, server_name);
        None
    }

    /// As [`Handle::has_ended`].
    fn has_ended(&self) -> bool {
        false
    }

    /// As [`Handle::permits`]. By default, all targets are permitted.
    fn permits(&self, target: &TargetKind) -> Result<(), NotAllowed> {
        let _ = target;
        Ok(())
    }

    /// As [`Handle::recent_round`]. By default, no target is known.
    fn round(&self, target: TargetName, max_age: Duration) -> BoxFuture<'static, Option<Arc<TargetReport>>> {
        let _ = (target, max_age);
        at_once(None).boxed()
    }

    /// As [`Handle::probe_access`]. By default, all requests are accepted.
    fn probe_access(&self) -> ProbeAccess {
        ProbeAccess::default()
    }

    /// As [`Handle::probe_once`]. By default, no target is probed.
    fn probe_once(&self, target: TargetKind, client: ClientAddress) -> BoxFuture<'static, Result<OneOff, OneOffError>> {
        let _ = (target, client);
        at_once(Err(OneOffError::Ended)).boxed()
    }
}

impl FleetSource for Handle {
    fn fleet(&self) -> Fleet {
        self.fleet()
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn exporter(&self) -> ExporterReport {
        self.exporter()
    }

    fn find(&self, name: &str) -> Option<Arc<TargetReport>> {
        self.find(name)
    }

    fn find_service(&self, kind: &TargetKind, server_name: Option<&ServerName>) -> Option<Arc<TargetReport>> {
        self.find_service(kind, server_name)
    }

    fn has_ended(&self) -> bool {
        self.has_ended()
    }

    fn permits(&self, target: &TargetKind) -> Result<(), NotAllowed> {
        self.permits(target)
    }

    fn round(&self, target: TargetName, max_age: Duration) -> BoxFuture<'static, Option<Arc<TargetReport>>> {
        let handle = self.clone();
        async move { handle.recent_round(&target, max_age).await }.boxed()
    }

    fn probe_access(&self) -> ProbeAccess {
        self.probe_access()
    }

    fn probe_once(&self, target: TargetKind, client: ClientAddress) -> BoxFuture<'static, Result<OneOff, OneOffError>> {
        let handle = self.clone();
        async move { Self::probe_once(&handle, target, client).await }.boxed()
    }
}
