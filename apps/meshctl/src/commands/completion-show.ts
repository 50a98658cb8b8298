/** `meshctl completion SHELL`: a script made from the commands themselves, so that it cannot be out of date. */
import { Argument, type Command } from 'commander';
import { print } from '../output.ts';
import { GET_WORDS } from './object-get.ts';

const EXAMPLES = `
Examples:
  source <(meshctl completion bash)
  meshctl completion zsh > "\${fpath[1]}/_meshctl"
  meshctl completion fish > ~/.config/fish/completions/meshctl.fish`;

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** What may follow a command: `path` is '' for meshctl itself, `lab up` for a command below. */
interface Words {
  readonly path: string;
  readonly words: readonly string[];
}

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .summary('print a completion script for a shell')
    .description('Prints a script that completes commands, options and kinds.')
    .addArgument(new Argument('<shell>', 'which shell').choices([...SHELLS]))
    .addHelpText('after', EXAMPLES)
    .action((shell: Shell) => {
      const tree = wordsOf(program, []);
      print(shell === 'fish' ? fishScript(tree) : bashScript(tree, shell));
    });
}

function wordsOf(command: Command, path: readonly string[]): readonly Words[] {
  const subcommands = command.commands.filter((sub) => sub.name() !== 'help');
  const options = command.options.flatMap(({ long }) => (long == null ? [] : [long]));
  const own: Words = {
    path: path.join(' '),
    words: [...subcommands.map((sub) => sub.name()), ...extraWords(path), ...options, '--help'],
  };
  return [own, ...subcommands.flatMap((sub) => wordsOf(sub, [...path, sub.name()]))];
}

function extraWords(path: readonly string[]): readonly string[] {
  if (path[0] === 'get') return GET_WORDS;
  return path[0] === 'completion' ? SHELLS : [];
}

/** zsh reads the same function through bashcompinit. */
function bashScript(tree: readonly Words[], shell: 'bash' | 'zsh'): string {
  const cases = tree.map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`);
  const paths = tree.map(({ path }) => path).filter((path) => path !== '');
  const head =
    shell === 'zsh' ? '#compdef meshctl\nautoload -U +X bashcompinit && bashcompinit\n' : '';
  return `${head}_meshctl() {
  local path="" word words
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${paths.map((path) => `'${path}'`).join('|')}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    -f|--filename) COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); return ;;
    -o|--output) words='table json yaml' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _meshctl meshctl`;
}

function fishScript(tree: readonly Words[]): string {
  return [
    'complete -c meshctl -f',
    ...tree.flatMap(({ path, words }) => {
      const condition =
        path === ''
          ? '__fish_use_subcommand'
          : path
              .split(' ')
              .map((word) => `__fish_seen_subcommand_from ${word}`)
              .join('; and ');
      return words.map((word) =>
        word.startsWith('--')
          ? `complete -c meshctl -n '${condition}' -l ${word.slice(2)}`
          : `complete -c meshctl -n '${condition}' -a ${word}`,
      );
    }),
    'complete -c meshctl -s f -l filename -r -F',
  ].join('\n');
}
