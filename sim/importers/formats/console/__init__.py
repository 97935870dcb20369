"""Logs that Node.js and Deno print, such as the Evolution API's console: values as util.inspect writes them."""
