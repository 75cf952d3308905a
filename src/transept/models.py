"""The topologies: one stack (`Model`) or two (`Seq2Seq`), and the one protocol by which both decode.

    encode(source, valid) -> Memory        cache(batch, size, memory) -> Cache
    decode(target, memory, cache, valid) -> logits

Shapes: B batch, S source length, T target length, D width, V vocabulary. Token ids are int64, `valid` is true for real
tokens and None where all are.
"""

from typing import Literal

from torch import Tensor

from transept.errors import InvalidConfig, UsageError
from transept.fitting import demand_distances, demand_documents, demand_order, demand_tree, demand_whole, fit
from transept.heads.head import Head, HeadLayer
from transept.inputs.entry import Entry, EntryLayer
from transept.inputs.tokens import Tokens
from transept.parts.attention import Attention
from transept.parts.cache import Cache
from transept.parts.carried import Carried, carry
from transept.parts.entered import Entered
from transept.parts.initial import Initial, Normal, Xavier
from transept.parts.looks import Looks
from transept.parts.memory import Memory
from transept.parts.pattern import Documents
from transept.parts.stack import Stack, blocks
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View, count_in_documents
from transept.spec import Part, edit, replace
from transept.topology import Built, Output, Topology


def kept_apart(spec: "Model") -> "Model":
    """The model whose attentions see nothing beyond their own document, of the same weights: for rows of several.

    Raises InvalidConfig where something beside attention carries one token to another.
    """
    if not isinstance(spec.stack, Stack):
        raise InvalidConfig(
            f"packed documents are kept apart by attention, and a {type(spec.stack).__name__} has none",
            remedy="Take data.rows=padded, or windows.",
        )

    def apart(part: Part) -> Part:
        if not isinstance(part, Attention) or any(isinstance(word, Documents) for word in part.pattern.parts()):
            return part
        if part.shorten is not None:
            raise InvalidConfig(
                "a shortened key is made of tokens side by side, and in packed rows those may be of two documents",
                remedy="Take data.rows=padded, or windows.",
            )
        return replace(part, pattern=part.pattern & Documents())

    return edit(spec, apart)


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _scored(head: HeadLayer, states: Tensor, entered: Entered, last: bool) -> Tensor:
    return head(states[:, -1:] if last else states, entered)


class Model(Topology):
    """One stack: an encoder, or a decoder without a memory, as its patterns say.

    `second` is a second head over the same states: BERT was trained to tell masked words and the next sentence at once.
    """

    width: int
    embed: Entry
    stack: Trunk
    head: Head
    initial: Initial = Normal()
    second: Head | None = None

    def validate(self) -> None:
        self.hold(1, "width")
        if self.stack.reads_memory:
            raise InvalidConfig(f"{type(self.stack).__name__} reads a memory, and a model of one stack has none")
        demand_order(self.embed, self.stack)
        if self.reads_tree and self.stack.causal:
            demand_whole("this model", self.embed, self.stack)
        for head in (self.head, self.second):
            if head is not None:
                fit(head, self.embed, self.width, self.stack.leaves(self.width))
        demand_distances(self.embed, self.stack)

    @property
    def reads_tree(self) -> bool:
        return self.embed.reads_tree or self.stack.reads_tree

    @property
    def blocks(self) -> Stack:
        """The stack, where it is blocks in a row. Raises InvalidConfig where it is another trunk."""
        return blocks(self.stack)

    def limit(self) -> int | None:
        return _least(self.embed.limit(), self.stack.limit())

    def build(self) -> "ModelLayer":
        return ModelLayer(self)


class ModelLayer(Built):
    def __init__(self, spec: Model) -> None:
        super().__init__()
        self.spec: Model = spec
        self.embed, self.stack = spec.embed.build(spec.width), spec.stack.build(spec.width)
        given = spec.stack.leaves(spec.width)
        self.head = spec.head.build(given)
        self.second = spec.second.build(given) if spec.second else None
        spec.initial.apply(self, spec.width)

    def cache(self, batch: int, size: int, memory: Memory | None = None) -> Cache:
        return Cache(batch, size, self.stack.new_slots(batch, size), None, self.device)

    def carry(self, batch: int, length: int | None = None) -> Carried:
        """What segments of long texts hand on in `batch` rows, empty: a `cache` for `hidden` and `decode`.

        `length` is how many states each attention goes on reading, where it shall differ from what the model was
        described with (Dai et al. 2019 evaluate with more). Raises UsageError where nothing can be carried.
        """
        return carry(self.stack, self.spec.stack, self.spec.embed.limit(), batch, length, self.device)

    def hidden(
        self,
        inputs: Tensor,
        valid: Tensor | None = None,
        cache: Cache | Carried | None = None,
        documents: Tensor | None = None,
        looks: Looks | None = None,
        tree: Tensor | None = None,
        **more: Tensor,
    ) -> tuple[Tensor, Entered]:
        """The states before the head, (B, T, D), and what entered. `more` is the input part's: segments, say.

        `documents` (B, S) tells the document of each token where a row holds several, one after the other: each enters
        as if it stood alone, and attentions whose pattern has `documents` look at nothing beyond it. `tree` (B, S, 3)
        tells where each token stands in its sentence's tree (`parts.tree`), where positions read it. Without a cache
        `looks` are filled with what the attentions did. A `cache` from `carry` gives what earlier segments of a text
        handed on, and takes what this one does.
        """
        demand_tree(self.spec.reads_tree, tree)
        if tree is not None and self.spec.embed.reads_tree:
            more |= {"tree": tree}
        if cache is None:
            if documents is not None:
                demand_documents(self.spec.embed, self.spec.stack)
                more |= {"positions": count_in_documents(documents, valid)}
            entered = self.embed(inputs, valid, **more)
            bias = self.stack.position
            view = View.of(entered.x, entered.valid, bias=bias, documents=documents, looks=looks, tree=tree)
            return self.stack(entered.x, view), entered
        if documents is not None:
            raise UsageError(
                "rows of several documents were given with a cache, which holds one text in each row",
                remedy="Read them whole; or a document in each row, and carried.forget(rows) where one begins.",
            )
        view = cache.open(inputs.size(1), valid, self.stack.position)
        entered = self.embed(inputs, valid, view.positions, **more)
        return self.stack(entered.x, view, cache.slots), entered

    def forward(
        self, inputs: Tensor, valid: Tensor | None = None, looks: Looks | None = None, **more: Tensor
    ) -> Output:
        """inputs: token ids (B, S), pictures (B, channels, height, width), samples (B, length), as `embed` takes them.

        `valid` (B, S) is true for what is real of them, None where all is; `looks` are filled with what the attentions
        did; `more` is the input part's.
        """
        documents, tree = more.pop("documents", None), more.pop("tree", None)
        states, entered = self.hidden(inputs, valid, None, documents, looks, tree, **more)
        second = None if self.second is None else self.second(states, entered)
        return Output(self.head(states, entered), states, None, second, entered, looks)

    def decode(
        self,
        target: Tensor,
        memory: Memory | None = None,
        cache: Cache | Carried | None = None,
        valid: Tensor | None = None,
        last: bool = False,
    ) -> Tensor:
        """Logits (B, T, V) of the next token after each of the target; with a cache, of what follows its columns.

        With `last`, of what follows the last alone, (B, 1, V): a long prompt needs no others.
        """
        return _scored(self.head, *self.hidden(target, valid, cache), last)


class Seq2Seq(Topology):
    """Two stacks; the second reads the first through its cross-attention.

    `source` None: both sides share `embed`. Else it is what enters the encoder, tokens or not, and `share` tells what
    of `embed` it takes: "table" leaves each side its own positions and norm around one table of tokens (BART).
    """

    width: int
    embed: Tokens
    encoder: Trunk
    decoder: Trunk
    head: Head
    source: Entry | None = None
    initial: Initial = Xavier()
    share: Literal["nothing", "table"] = "nothing"

    def validate(self) -> None:
        self.hold(1, "width")
        if self.encoder.reads_memory:
            raise InvalidConfig(
                f"the encoder, {type(self.encoder).__name__}, reads a memory, and there is none before it"
            )
        demand_order(self.source or self.embed, self.encoder)
        demand_order(self.embed, self.decoder)
        demand_whole("the decoder", self.embed, self.decoder)
        self.decoder.follow(self.encoder)
        memory = self.encoder.leaves(self.width)
        fit(self.head, self.embed, self.width, self.decoder.leaves(self.width, memory))
        if self.share == "table":
            if self.source is None:
                raise InvalidConfig("Seq2Seq.share is 'table' without a source: then both sides share embed as a whole")
            if not isinstance(self.source, Tokens):
                raise InvalidConfig(f"{type(self.source).__name__} has no table of tokens that Seq2Seq could share")
            if self.source.vocab != self.embed.vocab:
                raise InvalidConfig(f"one table cannot hold {self.source.vocab} tokens and {self.embed.vocab}")

    @property
    def reads_tree(self) -> bool:
        return (self.source or self.embed).reads_tree or self.encoder.reads_tree

    @property
    def encoder_blocks(self) -> Stack:
        """The encoder, where it is blocks in a row. Raises InvalidConfig where it is another trunk."""
        return blocks(self.encoder)

    @property
    def decoder_blocks(self) -> Stack:
        """The decoder, where it is blocks in a row. Raises InvalidConfig where it is another trunk."""
        return blocks(self.decoder)

    @property
    def source_tokens(self) -> Tokens | None:
        """What embeds the tokens of the source, where the source is text."""
        entry = self.source or self.embed
        return entry if isinstance(entry, Tokens) else None

    def limit(self) -> int | None:
        read = (self.source, self.encoder) if self.source_tokens else ()  # what is no text has no tokens
        return _least(*(part.limit() for part in (self.embed, *read, self.decoder) if part))

    def build(self) -> "Seq2SeqLayer":
        return Seq2SeqLayer(self)


class Seq2SeqLayer(Built):
    def __init__(self, spec: Seq2Seq) -> None:
        super().__init__()
        self.spec: Seq2Seq = spec
        if isinstance(spec.source, Tokens):
            self.source: EntryLayer | None = spec.source.build(spec.width, table=spec.share == "nothing")
        else:
            self.source = spec.source.build(spec.width) if spec.source else None
        self.embed = spec.embed.build(spec.width)
        memory = spec.encoder.leaves(spec.width)
        self.encoder: TrunkLayer = spec.encoder.build(spec.width)
        self.decoder: TrunkLayer = spec.decoder.build(spec.width, memory)
        self.head = spec.head.build(spec.decoder.leaves(spec.width, memory))
        spec.initial.apply(self, spec.width)

    def encode(self, source: Tensor, valid: Tensor | None = None, tree: Tensor | None = None) -> Memory:
        """What the decoder will read of a source: tokens (B, S), or pictures or sound as `source` takes them.

        `tree` (B, S, 3) tells where each token stands in its sentence's tree, where the encoder's positions read it.
        """
        embed: EntryLayer = self.embed if self.source is None else self.source
        lent = {"table": self.embed.table.weight} if self.spec.share == "table" and self.embed.table else {}
        demand_tree(self.spec.reads_tree, tree)
        if tree is not None and (self.spec.source or self.spec.embed).reads_tree:
            lent |= {"tree": tree}
        entered = embed(source, valid, **lent)
        slots = self.encoder.new_slots(len(source), 0) if self.spec.encoder.final else None
        view = View.of(entered.x, entered.valid, bias=self.encoder.position, tree=tree)
        states = self.encoder(entered.x, view, slots)
        final = slots[0][0].tensors if slots and slots[0][0] else None
        return Memory(states, entered.valid, final, entered.x if self.spec.decoder.reads_entered else None)

    def cache(self, batch: int, size: int, memory: Memory | None = None) -> Cache:
        """Room for `size` target tokens in `batch` rows: as many rows as the memory has, or a multiple of them."""
        return Cache(batch, size, self.decoder.new_slots(batch, size, memory), memory, self.device)

    def _decode(
        self,
        target: Tensor,
        memory: Memory | None,
        cache: Cache | None,
        valid: Tensor | None,
        looks: Looks | None = None,
    ) -> tuple[Tensor, Entered]:
        if cache is None:
            view = View.of(target, valid, memory, self.decoder.position, looks=looks)
        else:
            view = cache.open(target.size(1), valid, self.decoder.position)
        entered = self.embed(target, valid, view.positions)
        return self.decoder(entered.x, view, cache.slots if cache else None), entered

    def decode(
        self,
        target: Tensor,
        memory: Memory | None = None,
        cache: Cache | None = None,
        valid: Tensor | None = None,
        last: bool = False,
    ) -> Tensor:
        """Logits (B, T, V) of the next token after each of the target; with `last`, after the last alone, (B, 1, V).

        The memory comes from the cache where there is one.
        """
        return _scored(self.head, *self._decode(target, memory, cache, valid), last)

    def hidden(
        self,
        source: Tensor,
        target: Tensor,
        source_valid: Tensor | None = None,
        target_valid: Tensor | None = None,
        looks: Looks | None = None,
        tree: Tensor | None = None,
    ) -> tuple[Tensor, Entered]:
        """The decoder's states before the head, (B, T, D), and what entered it; its attentions fill `looks`."""
        return self._decode(target, self.encode(source, source_valid, tree), None, target_valid, looks)

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_valid: Tensor | None = None,
        target_valid: Tensor | None = None,
        looks: Looks | None = None,
        tree: Tensor | None = None,
    ) -> Output:
        memory = self.encode(source, source_valid, tree)
        states, entered = self._decode(target, memory, None, target_valid, looks)
        return Output(self.head(states, entered), states, memory, None, entered, looks)
