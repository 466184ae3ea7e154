//! Records of chat on a broken disk, over restarts, from an old file; and what reads cost.
