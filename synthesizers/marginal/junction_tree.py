"""From measured cliques to a junction tree: triangulation, maximal cliques, an order for messages.

Source: Koller & Friedman 2009, chapter 10. The spanning tree is networkx's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import networkx as nx

from synthesizers.marginal.domain import Clique, Domain
from synthesizers.marginal.triangulation import maximal_cliques


@dataclass(frozen=True, slots=True)
class Edge:
    """A child clique, its parent, and the attributes they share (possibly none)."""

    child: Clique
    parent: Clique
    separator: Clique


@dataclass(frozen=True, slots=True)
class JunctionTree:
    """Maximal cliques and a rooted tree over them.

    Attributes:
        domain: sizes of all attributes.
        cliques: maximal cliques; the first is the root.
        edges: one an other clique, parents before children.
    """

    domain: Domain
    cliques: tuple[Clique, ...]
    edges: tuple[Edge, ...]

    @property
    def n_cells(self) -> int:
        """Cells of all cliques together: what the model's memory grows with."""
        return sum(self.domain.n_cells(clique) for clique in self.cliques)

    def home(self, clique: Clique) -> Clique:
        """The smallest maximal clique that contains a clique. Raises KeyError when none does."""
        homes = [c for c in self.cliques if set(clique) <= set(c)]
        if not homes:
            raise KeyError(f"no clique of the tree contains {clique}")
        return min(homes, key=self.domain.n_cells)


def junction_tree(domain: Domain, cliques: Iterable[Clique]) -> JunctionTree:
    """A junction tree whose cliques cover the given ones and every attribute of the domain."""
    maximal = sorted(maximal_cliques(domain, cliques))
    weights: Any = nx.Graph()
    weights.add_nodes_from(maximal)
    weights.add_weighted_edges_from((a, b, len(set(a) & set(b))) for a, b in combinations(maximal, 2))
    spanning = nx.maximum_spanning_tree(weights)
    root = max(maximal, key=domain.n_cells)
    edges = [
        Edge(child=child, parent=parent, separator=domain.clique(set(child) & set(parent)))
        for parent, child in nx.bfs_edges(spanning, root)
    ]
    return JunctionTree(domain, (root, *(edge.child for edge in edges)), tuple(edges))
