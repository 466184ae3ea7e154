//! Homes beside a store that the test is: what they have written, when they tell it, and what stays.

mod attempts;
mod crowds;
mod ends;
mod listening;
mod quizzes;

mod shelf;
mod world;
