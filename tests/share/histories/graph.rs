//! A directed graph of operations, and a short cycle in it.

use std::collections::{HashMap, VecDeque};

use super::operation::Object;

/// Why one operation comes before another. A cycle is looked for with the first kinds, then with more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependency {
    /// The second overwrites, or appends to, what the first wrote.
    WriteWrite,
    /// The second reads what the first wrote.
    WriteRead,
    /// The second overwrites, or appends to, what the first read.
    ReadWrite,
    /// As `ReadWrite`, between versions whose order follows from the times at which they were seen.
    ReadWriteInTime,
    /// The first completed before the second was invoked.
    RealTime,
    /// As `WriteWrite`, between versions whose order follows from the times at which they were seen.
    WriteWriteInTime,
}

#[derive(Debug, Clone, Copy)]
pub struct Edge {
    pub from: u32,
    pub to: u32,
    pub dependency: Dependency,
    /// What the dependency is about.
    pub object: Option<Object>,
}

/// The nodes below `operations` are operations. The others are virtual: many sources and many targets are
/// connected by an edge of each with a virtual node, instead of an edge for each pair.
pub struct Graph {
    operations: u32,
    edges: Vec<Edge>,
    /// For each node, the place of its first edge; then the number of edges.
    first: Vec<usize>,
}

/// The nodes that a search has reached, with their distance and the edge to each.
type Reached<'g> = HashMap<u32, (u32, Option<&'g Edge>)>;

/// The number of edges that the search for a short cycle follows before it takes the shortest found so far.
const SEARCH_BUDGET: usize = 5_000_000;

const NONE: u32 = u32::MAX;

impl Dependency {
    /// The last kinds of the searches for a cycle, one after another.
    pub const SEARCHES: [Self; 5] =
        [Self::WriteWrite, Self::WriteRead, Self::ReadWrite, Self::RealTime, Self::WriteWriteInTime];
}

impl Graph {
    pub fn new(operations: u32, nodes: u32, mut edges: Vec<Edge>) -> Self {
        edges.retain(|edge| edge.from != edge.to);
        edges.sort_by_key(|edge| edge.from);
        let first = (0..=nodes).map(|node| edges.partition_point(|edge| edge.from < node)).collect();
        Self { operations, edges, first }
    }

    pub fn count(&self, dependency: Dependency) -> usize {
        self.edges.iter().filter(|edge| edge.dependency == dependency).count()
    }

    /// A cycle whose edges have no later dependency than `most`: one with the fewest operations, unless the
    /// graph is too large to search all of it. Virtual nodes are left out.
    pub fn cycle(&self, most: Dependency) -> Option<Vec<Edge>> {
        let components = self.components(most);
        let mut sizes = vec![0; components.len()];
        components.iter().for_each(|component| sizes[*component as usize] += 1);
        let (mut best, mut budget): (Option<Vec<Edge>>, _) = (None, SEARCH_BUDGET);
        for start in (0..self.operations).filter(|node| sizes[components[*node as usize] as usize] > 1) {
            let bound = best.as_ref().map_or(u32::MAX, |cycle| cycle.len() as u32);
            if bound == 2 || budget == 0 {
                break;
            }
            best = self.cycle_through(start, most, &components, bound, &mut budget).or(best);
        }
        best
    }

    /// The strongly connected component of each node, by Tarjan's algorithm without recursion.
    fn components(&self, most: Dependency) -> Vec<u32> {
        let nodes = self.first.len() - 1;
        let (mut component, mut index, mut low) = (vec![NONE; nodes], vec![NONE; nodes], vec![NONE; nodes]);
        let (mut stack, mut path): (Vec<usize>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
        let (mut next_index, mut next_component) = (0, 0);
        for root in 0..nodes {
            if index[root] == NONE {
                path.push((root, self.first[root]));
            }
            while let Some((node, place)) = path.last_mut() {
                let node = *node;
                if index[node] == NONE {
                    (index[node], low[node]) = (next_index, next_index);
                    next_index += 1;
                    stack.push(node);
                }
                if *place < self.first[node + 1] {
                    let edge = &self.edges[*place];
                    let target = edge.to as usize;
                    *place += 1;
                    if edge.dependency <= most && index[target] == NONE {
                        path.push((target, self.first[target]));
                    } else if edge.dependency <= most && component[target] == NONE {
                        low[node] = low[node].min(index[target]);
                    }
                    continue;
                }
                path.pop();
                if let Some((parent, _)) = path.last() {
                    low[*parent] = low[*parent].min(low[node]);
                }
                if low[node] == index[node] {
                    while component[node] == NONE {
                        let member = stack.pop().expect("the node is on the stack");
                        component[member] = next_component;
                    }
                    next_component += 1;
                }
            }
        }
        component
    }

    /// The cycle with the fewest operations through `start`, if it has fewer than `bound`. A step to an
    /// operation has length 1, a step to a virtual node 0.
    fn cycle_through(
        &self,
        start: u32,
        most: Dependency,
        components: &[u32],
        bound: u32,
        budget: &mut usize,
    ) -> Option<Vec<Edge>> {
        let (mut reached, mut queue) = (Reached::from([(start, (0, None))]), VecDeque::from([(start, 0)]));
        while let Some((node, distance)) = queue.pop_front() {
            if reached[&node].0 < distance {
                continue;
            }
            for edge in &self.edges[self.first[node as usize]..self.first[node as usize + 1]] {
                *budget = budget.saturating_sub(1);
                let is_operation = edge.to < self.operations;
                let distance = distance + u32::from(is_operation);
                let is_inside = components[edge.to as usize] == components[start as usize];
                if edge.dependency > most || !is_inside || distance >= bound || *budget == 0 {
                    continue;
                }
                if edge.to == start {
                    return Some(self.path_to(edge, &reached));
                }
                if reached.get(&edge.to).is_none_or(|(known, _)| distance < *known) {
                    reached.insert(edge.to, (distance, Some(edge)));
                    let next = (edge.to, distance);
                    if is_operation { queue.push_back(next) } else { queue.push_front(next) }
                }
            }
        }
        None
    }

    /// The edges that lead to the end of `last`, without virtual nodes.
    fn path_to(&self, last: &Edge, reached: &Reached<'_>) -> Vec<Edge> {
        let mut path: Vec<Edge> = Vec::new();
        let mut next = Some(last);
        while let Some(edge) = next {
            match path.last_mut() {
                Some(after) if edge.to >= self.operations => after.from = edge.from,
                _ => path.push(*edge),
            }
            next = reached[&edge.from].1;
        }
        path.reverse();
        path
    }
}
