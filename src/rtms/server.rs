//! Zoom's side of a stream's protocol, shared by the simulator and relays: the messages and webhooks that Zoom sends,
//! the handshakes that it accepts, the parameters that it grants, and its keep-alives. Faults and scripts belong to the
//! simulator.

// Which media sockets may be open at the same time.
pub(crate) mod admission;
// The first message of a socket.
pub(crate) mod handshake;
// The keep-alives of one socket.
pub(crate) mod keep_alive;
// The messages that Zoom sends.
pub(crate) mod message;
// The parameters that Zoom grants.
pub(crate) mod params;
// The stream of one program: its sockets, subscriptions and states.
pub(crate) mod program;
// The status codes of refusals.
pub(crate) mod refusal;
// The messages of a program after its handshake.
pub(crate) mod request;
// The bodies of the webhooks about a stream.
pub(crate) mod webhook;
