/**
 * Who read what, in little memory: a mesh of ten thousand pods has some two hundred thousand readers with ten reads each.
 *
 * One computation runs at a time. While it does, the marks say of themselves what it has read and what it had read before, so that no
 * reader needs a set of its own.
 */

/** One derived value, as a reader of others. */
export interface Reader {
  /** Of the computation that ran last, each once. */
  reads: readonly ReadMark[];
  markDirty(): void;
}

const NOTHING: readonly ReadMark[] = [];
/** Beyond, a list is slower than a set. */
const LISTED_MAX = 32;

/** Of the computation that runs. */
const UNREAD = 0;
const READ_BEFORE = 1;
const READ_NOW = 2;

/** Something that was read: a key or an index bucket. */
export class ReadMark {
  readonly home: Map<string, ReadMark>;
  readonly name: string;
  state = UNREAD;
  /** One, a few, many: most marks have one or two. */
  readers: Reader | readonly Reader[] | Set<Reader> | undefined;

  constructor(home: Map<string, ReadMark>, name: string) {
    this.home = home;
    this.name = name;
    this.readers = undefined;
  }
}

/** The computation that runs now, shared by all collections of one graph. */
export class ReaderSlot {
  #isRunning = false;
  #read: ReadMark[] = [];

  /** To be called for everything that is read; outside of a computation it does nothing. */
  record(marks: Map<string, ReadMark>, name: string): void {
    if (!this.#isRunning) return;
    let mark = marks.get(name);
    if (mark === undefined) {
      mark = new ReadMark(marks, name);
      marks.set(name, mark);
    }
    if ((mark.state & READ_NOW) !== 0) return;
    mark.state |= READ_NOW;
    this.#read.push(mark);
  }

  /** What `compute` reads takes the place of what the reader read before; nothing does where it answers that the reader is gone. */
  run(reader: Reader, compute: () => 'stays' | 'gone'): void {
    const before = reader.reads;
    for (const mark of before) mark.state = READ_BEFORE;
    this.#isRunning = true;
    let isGone = false;
    try {
      isGone = compute() === 'gone';
    } finally {
      this.#isRunning = false;
      const read = this.#read;
      this.#read = [];
      reader.reads = isGone ? NOTHING : sameOrCopy(before, read);
      for (const mark of read) {
        if (!isGone && mark.state === READ_NOW) addReader(mark, reader);
        if (mark.readers === undefined) mark.home.delete(mark.name);
      }
      for (const mark of before) {
        if (isGone || mark.state === READ_BEFORE) removeReader(mark, reader);
        mark.state = UNREAD;
      }
      for (const mark of read) mark.state = UNREAD;
    }
  }
}

/** Everybody who read it is to be computed again. */
export function touch(mark: ReadMark | undefined): void {
  const readers = mark?.readers;
  if (readers === undefined) return;
  if (isMany(readers)) for (const reader of readers) reader.markDirty();
  else readers.markDirty();
}

/** A list that has grown has room for more than it needs. */
function sameOrCopy(before: readonly ReadMark[], read: readonly ReadMark[]): readonly ReadMark[] {
  const isSame = before.length === read.length && read.every((mark, at) => mark === before[at]);
  return isSame ? before : read.slice();
}

function addReader(mark: ReadMark, reader: Reader): void {
  const { readers } = mark;
  if (readers === undefined) mark.readers = reader;
  else if (readers instanceof Set) readers.add(reader);
  else if (!isMany(readers)) mark.readers = [readers, reader];
  else if (readers.length < LISTED_MAX) mark.readers = readers.concat(reader);
  else mark.readers = new Set(readers).add(reader);
}

/** A mark that nobody reads is dropped. */
function removeReader(mark: ReadMark, reader: Reader): void {
  const { readers } = mark;
  if (readers instanceof Set) {
    readers.delete(reader);
    if (readers.size === 0) mark.readers = undefined;
  } else if (readers !== undefined && isMany(readers)) {
    const others = readers.filter((one) => one !== reader);
    mark.readers = others.length > 1 ? others : others[0];
  } else if (readers === reader) {
    mark.readers = undefined;
  }
  if (mark.readers === undefined) mark.home.delete(mark.name);
}

function isMany(
  readers: Reader | readonly Reader[] | Set<Reader>,
): readers is readonly Reader[] | Set<Reader> {
  return Array.isArray(readers) || readers instanceof Set;
}
