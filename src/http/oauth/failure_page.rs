//! The pages that people see when an install failed.

use crate::http::error::InstallRefusal;
use crate::http::install_path;
use crate::model::AppName;
use crate::web::Page;
use crate::zoom::state::StateError;

impl InstallRefusal {
    /// The page, with a link that begins the install of `app` again.
    pub(super) fn failure_page(self, app: &AppName) -> Page {
        let again = |page: Page, label| page.with_action(label, install_path(app));
        let text = self.text().to_owned();
        match self {
            Self::Denied => {
                again(Page::neutral("The app was not installed", vec![text]), "Install after all")
            }
            Self::NoState => again(Page::neutral("One more step", vec![text]), "Continue to Zoom"),
            Self::Used => again(Page::neutral("Already installed", vec![text]), "Install again"),
            Self::UnknownApp => Page::bad("This app is not known here", vec![text]),
            Self::Misconfigured(what) => {
                let note = format!("For the operator: Zoom rejects this app: {what}.");
                Page::bad("The app is not set up correctly", vec![text, note])
            }
            Self::State(StateError::Expired) => {
                again(Page::bad("That took too long", vec![text]), "Start again")
            }
            _ => again(Page::bad("The app is not installed yet", vec![text]), "Start again"),
        }
    }

    /// The text for the person at the browser: what happened, and what it means for them.
    fn text(self) -> &'static str {
        match self {
            Self::Denied => {
                "You did not allow the app at Zoom, so nothing was stored and it has no access to your meetings."
            }
            Self::RefusedByZoom | Self::NoCode => {
                "Zoom did not confirm the installation. Nothing was stored. Please try it again."
            }
            Self::NoState => {
                "You came here from the Zoom App Marketplace. To make sure that it is really you who installs the \
                 app, please confirm it at Zoom once more."
            }
            Self::State(StateError::Forged) => {
                "This link was not made by this server, so it was not followed. Nothing was stored."
            }
            Self::State(StateError::Expired) => {
                "An installation has to be finished within 10 minutes. Nothing was stored. Please start again."
            }
            Self::State(StateError::OtherBrowser) => {
                "The installation was started in another browser, or this one does not keep cookies. Nothing was \
                 stored. Please start and finish it in the same browser."
            }
            Self::Used => {
                "This installation was finished already. If you saw the confirmation, all is well and you can close \
                 this page."
            }
            Self::UnknownApp => {
                "This link names an app that this server does not have. Nothing was stored. Please contact the person \
                 who gave you the link."
            }
            Self::Busy => {
                "Many people are installing the app right now. Please try it again in a minute."
            }
            Self::DeadCode => {
                "Zoom's confirmation is valid for five minutes and only once, and this one has expired. Please start \
                 again."
            }
            Self::Misconfigured(_) => {
                "You cannot fix this yourself. Please contact the operator of this server."
            }
            Self::ZoomAway => {
                "Zoom is not answering at the moment. Please start again in a minute."
            }
            Self::NotStored => {
                "You allowed the app at Zoom, but this server could not store it. Please start again in a minute."
            }
        }
    }
}
