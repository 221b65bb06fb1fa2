//! The node's doors: gRPC, and `CometBFT`'s JSON-RPC with its WebSocket.

pub mod grpc;
pub mod http;
mod json;
mod methods;
mod subscription;
mod websocket;
