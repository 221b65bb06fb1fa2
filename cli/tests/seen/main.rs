//! What operators see of running processes: the status page in a browser, `/status`, and `relay-miner top`.

mod browser;
mod fleet;
mod page;
mod top;
