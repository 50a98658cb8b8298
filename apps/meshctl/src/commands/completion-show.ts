/** `meshctl completion SHELL`: a script made from the commands themselves, so that it cannot be out of date. */
import { Argument, type Command } from 'commander';
import { print } from '../output.ts';
import type { LiveName } from './name-complete.ts';
import { GET_WORDS } from './object-get.ts';

const EXAMPLES = `
Examples:
  source <(meshctl completion bash)
  meshctl completion zsh > "\${fpath[1]}/_meshctl"
  meshctl completion fish > ~/.config/fish/completions/meshctl.fish

Names of namespaces, nodes, proxies and contexts are those that are there when you press Tab.`;

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** What may follow a command: `path` is '' for meshctl itself, `lab up` for a command below. */
interface Words {
  readonly path: string;
  readonly words: readonly string[];
  /** Names that are asked for when they are wanted. */
  readonly live?: LiveName;
  /** Other names of the same command, as the last word of the path. */
  readonly aliases: readonly string[];
}

/** Of arguments, by the path of their command. */
const LIVE_ARGUMENTS: readonly (readonly [path: RegExp, live: LiveName])[] = [
  [/^(?:enroll|unenroll|bypass)$/, 'namespaces'],
  [/^proxy-config \S+$/, 'proxies'],
  [/^logs$/, 'logs'],
  [/^waypoint (?:delete|status)$/, 'waypoints'],
  [/^why$/, 'pods'],
];

/** Of options, whichever command they are of. */
const LIVE_OPTIONS: readonly (readonly [options: string, live: LiveName])[] = [
  ['-n|--namespace|-i|--mesh-namespace|--service-namespace', 'namespaces'],
  ['--node', 'nodes'],
  ['--context', 'contexts'],
];

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .summary('print a completion script for a shell')
    .description('Prints a script that completes commands, options, kinds and names.')
    .addArgument(new Argument('<shell>', 'which shell').choices([...SHELLS]))
    .addHelpText('after', EXAMPLES)
    .action((shell: Shell) => {
      const tree = wordsOf(program, []);
      print(shell === 'fish' ? fishScript(tree) : bashScript(tree, shell));
    });
}

function wordsOf(command: Command, path: readonly string[]): readonly Words[] {
  const subcommands = command.commands.filter(
    (sub) => sub.name() !== 'help' && !sub.name().startsWith('__'),
  );
  const options = command.options
    .filter(({ hidden }) => !hidden)
    .flatMap(({ long }) => (long == null ? [] : [long]));
  const joined = path.join(' ');
  const [, live] = LIVE_ARGUMENTS.find(([pattern]) => pattern.test(joined)) ?? [];
  const own: Words = {
    path: joined,
    words: [...subcommands.map((sub) => sub.name()), ...extraWords(path), ...options, '--help'],
    aliases: command.aliases(),
    ...(live === undefined ? {} : { live }),
  };
  return [own, ...subcommands.flatMap((sub) => wordsOf(sub, [...path, sub.name()]))];
}

function extraWords(path: readonly string[]): readonly string[] {
  if (path[0] === 'get') return GET_WORDS;
  return path[0] === 'completion' ? SHELLS : [];
}

/** zsh reads the same function through bashcompinit. */
function bashScript(tree: readonly Words[], shell: 'bash' | 'zsh'): string {
  const cases = tree.map(({ path, words, live }) => {
    const names = live === undefined ? '' : ` live=${live}`;
    return `    '${path}') words='${words.join(' ')}'${names} ;;`;
  });
  const paths = tree.map(({ path }) => path).filter((path) => path !== '');
  const aliases = tree.flatMap(({ path, aliases: names }) => {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf(' ')));
    const name = path.slice(path.lastIndexOf(' ') + 1);
    const all = names.map((alias) => `'${parent === '' ? '' : `${parent} `}${alias}'`);
    return all.length === 0 ? [] : [`      ${all.join('|')}) word=${name} ;;`];
  });
  const options = LIVE_OPTIONS.map(([names, live]) => `    ${names}) words= live=${live} ;;`);
  const head =
    shell === 'zsh' ? '#compdef meshctl\nautoload -U +X bashcompinit && bashcompinit\n' : '';
  return `${head}_meshctl() {
  local path="" word words live=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
${aliases.join('\n')}
    esac
    case "\${path:+$path }$word" in
      ${paths.map((path) => `'${path}'`).join('|')}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    -f|--filename|--kubeconfig) COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); return ;;
    -o|--output) words='table json yaml' live= ;;
${options.join('\n')}
  esac
  case "\${COMP_WORDS[COMP_CWORD]}" in
    -*) ;;
    *) if [ -n "$live" ]; then words="$words $(meshctl __complete $live 2>/dev/null)"; fi ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _meshctl meshctl`;
}

function fishScript(tree: readonly Words[]): string {
  return [
    'complete -c meshctl -f',
    ...tree.flatMap(({ path, words, live }) => {
      const condition =
        path === ''
          ? '__fish_use_subcommand'
          : path
              .split(' ')
              .map((word) => `__fish_seen_subcommand_from ${word}`)
              .join('; and ');
      return [
        ...words.map((word) =>
          word.startsWith('--')
            ? `complete -c meshctl -n '${condition}' -l ${word.slice(2)}`
            : `complete -c meshctl -n '${condition}' -a ${word}`,
        ),
        ...(live === undefined
          ? []
          : [
              `complete -c meshctl -n '${condition}' -a '(meshctl __complete ${live} 2>/dev/null)'`,
            ]),
      ];
    }),
    ...LIVE_OPTIONS.map(([names, live]) => {
      const flags = names
        .split('|')
        .map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
      return `complete -c meshctl ${flags.join(' ')} -x -a '(meshctl __complete ${live} 2>/dev/null)'`;
    }),
    'complete -c meshctl -s f -l filename -r -F',
  ].join('\n');
}
