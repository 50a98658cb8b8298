/** Bounds on YAML text, shared by reading and rewriting. */

/** Characters of one file. */
export const YAML_LENGTH_MAX = 8_388_608;
/** Documents of one file, `List` items counted. */
export const YAML_DOCUMENTS_MAX = 20_000;
/** Nodes that aliases of one document may expand to. */
export const YAML_ALIAS_COUNT_MAX = 1000;
