//! Whether any daemon has room for the stream that a program wants to start.

use super::{Control, ControlError};
use crate::store::OtherDaemon;

impl Control {
    /// Refuses a start if no daemon could take the stream: Zoom would wait for it in vain.
    pub(super) async fn check_capacity(&self) -> Result<(), ControlError> {
        if self.settings.occupancy.takes_more() {
            return Ok(());
        }
        let others = self.store.other_daemons(self.settings.node).await?;
        match others.iter().any(OtherDaemon::has_room) {
            true => Ok(()),
            false => Err(ControlError::NoCapacity),
        }
    }
}
