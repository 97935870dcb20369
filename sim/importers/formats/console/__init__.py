"""Logs that Node.js and Deno print: values as util.inspect and Deno.inspect write them, and the Evolution API's console."""
