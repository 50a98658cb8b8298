/** Seeded fuzzing for tests of parsers. Imported by tests only, as `@ambit/core/fuzzing`. */
export {
  type FuzzReport,
  type FuzzSettings,
  type FuzzTarget,
  fuzz,
  fuzzSettings,
  fuzzTest,
} from './fuzz.ts';
export { heldBytes } from './held-bytes.ts';
export { cutAnyhow, type InputFormat, makeInput } from './mutate.ts';
export { Random } from './random.ts';
