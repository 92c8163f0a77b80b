package manifest

// LoadConfigOf is LoadConfig for a folder that belongs to owner.
var LoadConfigOf = loadConfig
