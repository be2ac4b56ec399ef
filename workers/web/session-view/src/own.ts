/** Looks a word of somebody else's up in a table of ours: what every object inherits, such as `constructor`, is not in it. */
export function own<T>(table: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}
