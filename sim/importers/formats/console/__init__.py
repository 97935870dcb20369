"""Logs of Node.js and Deno programs, such as the Evolution API's console, with values as util.inspect prints them."""
