//! Accounts and coins. Only upokt exists.

use std::collections::BTreeMap;

use crate::actor::module_address;
use crate::chain::refusal::{Refusal, sdk};

/// The one denomination.
pub const DENOM: &str = "upokt";

/// An account: who signs for an address, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Given in order of creation; part of what is signed.
    pub number: u64,
    /// Transactions signed so far, unordered ones left out.
    pub sequence: u64,
    /// Unknown until the account's first transaction.
    pub public_key: Option<[u8; 33]>,
}

/// All accounts and balances.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    accounts: BTreeMap<String, Account>,
    balances: BTreeMap<String, u128>,
}

impl Bank {
    /// Opens an account unless it exists; a public key that is given is kept.
    pub fn open(&mut self, address: &str, public_key: Option<[u8; 33]>) {
        let number = self.accounts.len() as u64;
        let account = self.accounts.entry(address.to_owned()).or_insert(Account {
            number,
            sequence: 0,
            public_key: None,
        });
        account.public_key = account.public_key.or(public_key);
    }

    /// The account of an address, if it ever received coins.
    pub fn account(&self, address: &str) -> Option<&Account> {
        self.accounts.get(address)
    }

    /// The account, to be changed.
    pub fn account_mut(&mut self, address: &str) -> Option<&mut Account> {
        self.accounts.get_mut(address)
    }

    /// Spendable upokt.
    pub fn balance(&self, address: &str) -> u128 {
        self.balances.get(address).copied().unwrap_or_default()
    }

    /// upokt of a module's own account.
    pub fn module_balance(&self, module: &str) -> u128 {
        self.balance(&module_address(module))
    }

    /// All coins there are.
    pub fn supply(&self) -> u128 {
        self.balances.values().sum()
    }

    /// Makes coins out of nothing; opens the account.
    pub fn mint(&mut self, address: &str, amount: u128) {
        self.open(address, None);
        *self.balances.entry(address.to_owned()).or_default() += amount;
    }

    /// Makes coins in a module's account, which is not one that can sign.
    pub fn mint_to_module(&mut self, module: &str, amount: u128) {
        *self.balances.entry(module_address(module)).or_default() += amount;
    }

    /// Destroys a module's coins.
    pub fn burn_from_module(&mut self, module: &str, amount: u128) -> Result<(), Refusal> {
        self.take(&module_address(module), amount)
    }

    /// Moves coins; refused when the sender has too few.
    pub fn transfer(&mut self, from: &str, to: &str, amount: u128) -> Result<(), Refusal> {
        self.take(from, amount)?;
        self.mint(to, amount);
        Ok(())
    }

    /// Moves coins into a module's account.
    pub fn transfer_to_module(&mut self, from: &str, module: &str, amount: u128) -> Result<(), Refusal> {
        self.take(from, amount)?;
        self.mint_to_module(module, amount);
        Ok(())
    }

    fn take(&mut self, address: &str, amount: u128) -> Result<(), Refusal> {
        let balance = self.balance(address);
        let Some(rest) = balance.checked_sub(amount) else {
            let detail = format!("spendable balance {balance}{DENOM} is smaller than {amount}{DENOM}");
            return Err(sdk::INSUFFICIENT_FUNDS.wrap(detail));
        };
        self.balances.insert(address.to_owned(), rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_beyond_the_balance_is_refused_and_changes_nothing() {
        let mut bank = Bank::default();
        bank.mint("a", 10);
        let refusal = bank.transfer("a", "b", 11).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "spendable balance 10upokt is smaller than 11upokt: insufficient funds"
        );
        assert_eq!((bank.balance("a"), bank.balance("b"), bank.supply()), (10, 0, 10));
    }

    #[test]
    fn account_numbers_count_up() {
        let mut bank = Bank::default();
        bank.mint("a", 1);
        bank.transfer("a", "b", 1).unwrap();
        assert_eq!(bank.account("b").unwrap().number, 1);
    }
}
