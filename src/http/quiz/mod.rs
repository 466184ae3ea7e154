//! The routes of quizzes, for owners, participants and (on the internal listener) operators. Reference: `README.md` beside this file.

pub mod rooms;

use super::{rooms::Clock, table::Route};
use rooms::{Chance, Credentials, Library, Quizzes};

/// All that the routes ask of the house.
pub trait Rooms: Quizzes + Library + Credentials + Chance + Clock + 'static {}

impl<S: Quizzes + Library + Credentials + Chance + Clock + 'static> Rooms for S {}

/// The routes of the quiz listener.
pub fn routes<S: Rooms>() -> Vec<Route<S>> {
    Vec::new()
}

/// The routes for operators, on the internal listener.
pub fn internal_routes<S: Rooms>() -> Vec<Route<S>> {
    Vec::new()
}
