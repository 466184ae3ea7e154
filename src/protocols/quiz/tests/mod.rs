//! Homes beside a store that the test is: what they have written, when they tell it, and what stays.

mod attempts;
mod crowds;
mod dice;
mod ends;
mod listening;
mod quizzes;
mod random;
mod shelf;
mod truth;
mod world;
