//! A slab in chunks: growing it never moves what is in it nor leaves a freed copy behind, and a stale key finds nothing.

/// How many entries a chunk holds.
const CHUNK: usize = 512;
/// End of the free list.
const NONE: u32 = u32::MAX;

enum Entry<T> {
    Free { next: u32 },
    Used(T),
}

struct Slot<T> {
    generation: u16,
    entry: Entry<T>,
}

/// A place and the generation that it is in. The generation changes whenever the place is freed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Index of the place, from 0, dense.
    pub slot: u32,
    /// How often the place was freed before, wrapping.
    pub generation: u16,
}

/// Values in numbered places. Insert, look up and remove are O(1).
///
/// The place that was freed first is used first: a generation comes round again only after 2¹⁶ times as many values as there are places,
/// so nobody who comes and goes quickly can be taken for whom an answer that was long on its way is meant.
pub struct Table<T> {
    chunks: Vec<Box<[Slot<T>]>>,
    free: u32,
    /// The end of the free list; of no meaning while the list is empty.
    last_free: u32,
    used: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { chunks: Vec::new(), free: NONE, last_free: NONE, used: 0 }
    }
}

impl<T> Table<T> {
    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// How many places there are, used or free.
    pub fn places(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Puts a value into a free place.
    pub fn insert(&mut self, value: T) -> Key {
        if self.free == NONE {
            self.grow();
        }
        let slot = self.free;
        let place = self.place_mut(slot).expect("the free list names places that exist");
        let Entry::Free { next } = place.entry else { unreachable!("a place on the free list is free") };
        place.entry = Entry::Used(value);
        let generation = place.generation;
        self.free = next;
        self.used += 1;
        Key { slot, generation }
    }

    /// The value at `key`, unless it was removed.
    pub fn at(&self, key: Key) -> Option<&T> {
        let place = self.chunks.get(key.slot as usize / CHUNK)?.get(key.slot as usize % CHUNK)?;
        match &place.entry {
            Entry::Used(value) if place.generation == key.generation => Some(value),
            Entry::Used(_) | Entry::Free { .. } => None,
        }
    }

    /// The value at `key`, unless it was removed.
    pub fn at_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.place_mut(key.slot)?;
        match &mut place.entry {
            Entry::Used(value) if place.generation == key.generation => Some(value),
            Entry::Used(_) | Entry::Free { .. } => None,
        }
    }

    /// The value in a place, whatever its generation: for those who hold the place by right (a listener's entry, never a peer's word).
    pub fn in_slot_mut(&mut self, slot: u32) -> Option<(Key, &mut T)> {
        let place = self.place_mut(slot)?;
        match &mut place.entry {
            Entry::Used(value) => Some((Key { slot, generation: place.generation }, value)),
            Entry::Free { .. } => None,
        }
    }

    /// Takes the value at `key` out; the place may be used again.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.place_mut(key.slot)?;
        if place.generation != key.generation || matches!(place.entry, Entry::Free { .. }) {
            return None;
        }
        let Entry::Used(value) = std::mem::replace(&mut place.entry, Entry::Free { next: NONE }) else { return None };
        place.generation = place.generation.wrapping_add(1);
        self.append_free(key.slot);
        self.used -= 1;
        Some(value)
    }

    /// Every key in use, in the order of the places.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.chunks.iter().flatten().enumerate().filter_map(|(slot, place)| {
            matches!(place.entry, Entry::Used(_)).then_some(Key { slot: slot as u32, generation: place.generation })
        })
    }

    /// Every value in use.
    pub fn values(&self) -> impl Iterator<Item = &T> + '_ {
        self.chunks.iter().flatten().filter_map(|place| match &place.entry {
            Entry::Used(value) => Some(value),
            Entry::Free { .. } => None,
        })
    }

    fn place_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)
    }

    fn append_free(&mut self, slot: u32) {
        if self.free == NONE {
            self.free = slot;
        } else if let Some(Slot { entry: Entry::Free { next }, .. }) = self.place_mut(self.last_free) {
            *next = slot;
        }
        self.last_free = slot;
    }

    /// Only while the free list is empty.
    fn grow(&mut self) {
        let first = (self.chunks.len() * CHUNK) as u32;
        let last = first + CHUNK as u32 - 1;
        let next = |slot: u32| if slot == last { NONE } else { slot + 1 };
        self.chunks.push((first..=last).map(|slot| Slot { generation: 0, entry: Entry::Free { next: next(slot) } }).collect());
        (self.free, self.last_free) = (first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_key_finds_nothing_even_when_its_place_is_used_again() {
        let mut table = Table::default();
        let first = table.insert("first");
        assert_eq!(table.remove(first), Some("first"));
        for _ in 1..CHUNK {
            let other = table.insert("other");
            assert_ne!(other.slot, first.slot, "the place that was freed last is used last");
            table.remove(other);
        }
        let second = table.insert("second");
        assert_eq!(second.slot, first.slot);
        assert_eq!(table.at(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.at(second), Some(&"second"));
        assert_eq!(table.in_slot_mut(second.slot), Some((second, &mut "second")));
    }

    #[test]
    fn it_grows_over_chunks_and_counts() {
        let mut table = Table::default();
        let keys: Vec<Key> = (0..CHUNK * 3 + 1).map(|n| table.insert(n)).collect();
        assert_eq!(table.len(), CHUNK * 3 + 1);
        assert!(keys.iter().enumerate().all(|(n, &key)| table.at(key) == Some(&n)));
        assert_eq!(table.keys().count(), table.len());
        for key in keys {
            table.remove(key);
        }
        assert!(table.is_empty());
        assert_eq!(table.values().count(), 0);
        let again: Vec<Key> = (0..CHUNK * 4).map(|n| table.insert(n)).collect();
        assert_eq!(table.chunks.len(), 4, "every place is used again");
        assert!(again.iter().enumerate().all(|(n, &key)| table.at(key) == Some(&n)));
    }
}
