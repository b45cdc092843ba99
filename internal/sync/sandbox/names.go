package sandbox

// The people of the seed. The names are invented combinations of common ones, in the
// scripts that break programs which take letters for bytes.
var (
	givenNames = []string{
		"Anna", "Ben", "Clara", "David", "Élodie", "Felix", "Grace", "Hugo", "Inês", "Jürgen", "Katja", "Łukasz",
		"María", "Noah", "Olivia", "Paul", "Quentin", "Rosa", "Søren", "Tomáš", "Ursula", "Viktor", "Wendy", "Xavier",
		"Yara", "Zoë", "Åsa", "Björn", "Ceren", "Dörte", "Emre", "François", "Gül", "Håkon", "Ivana", "José",
	}
	familyNames = []string{
		"Müller", "Smith", "García", "O'Neill", "Nowak", "Jensen", "Þórsdóttir", "Ünal", "Dvořák", "van der Berg", "Rossi",
		"Lefèvre", "Johnson", "Schröder", "Kowalczyk", "Nguyễn", "Andersson", "Brown", "Weiß", "de la Cruz", "Taylor",
		"Öztürk", "Hernández", "Fischer", "Walker", "Häkkinen", "Šimić", "Martin", "Bauer", "Clark", "Peña", "Köhler",
		"MacDonald", "Sørensen", "Lewis", "Groß", "D'Angelo", "Iłowiecka", "Young", "Yıldız",
	}
	eastern = [][2]string{ // given name, family name
		{"太郎", "山田"}, {"美咲", "佐藤"}, {"小明", "王"}, {"秀英", "李"}, {"민준", "김"}, {"서연", "박"}, {"Олена", "Коваль"}, {"Νίκος", "Παππάς"},
	}
	companyNames = []string{
		"Alder & Finch", "Blauberg GmbH", "Caravel Shipping", "Dunmore Analytics", "Ember Foods", "Fjord Systems AS", "Grünwald Optik",
		"Harbor Mutual", "Ironwood Timber", "Juniper Clinics", "Kestrel Robotics", "Lumière SARL", "Meridian Freight", "Northgate Bank",
		"Orchard Software", "Pelikan Druck", "Quarry Lane Partners", "Redwood Legal", "Saltmarsh Energy", "Tallinn Data OÜ",
		"Umbra Studios", "Valdivia y Hijos", "Westerly Air", "Xenon Labs", "Yarrow Textiles", "Zephyr Wind", "東京デザイン", "Café Möwe",
	}
	jobTitles = []string{
		"Account Manager", "Buyer", "CFO", "Designer", "Engineer", "Facility Manager", "Geschäftsführerin", "Head of Sales",
		"IT Director", "Journalist", "Lawyer", "Office Manager", "Purchasing", "Vice President", "Wissenschaftler",
	}
	departments = []string{"Sales", "Finance", "Legal", "Operations", "R&D", ""}
	streets     = []string{"100 Main Street", "22 Acacia Avenue", "Königsallee 5", "7 rue de l'Église", "415 Mission St", "Calle Mayor 12", "1 Harbour Road"}
	seconds     = []string{"Suite 400", "Building C, 3rd Floor", "c/o Reception", "Apt 2b"}
	cities      = [][4]string{ // city, state, postal code, country
		{"San Francisco", "CA", "94105", "USA"}, {"Boston", "MA", "02110", "USA"}, {"Düsseldorf", "", "40212", "Germany"},
		{"Zürich", "ZH", "8001", "Switzerland"}, {"Chicago", "IL", "60601", "USA"}, {"Málaga", "", "29001", "Spain"}, {"Austin", "TX", "78701", "USA"},
	}
	notes = []string{
		"Met at the trade fair.\nPrefers e-mail.", "Ask for the renewal in spring", "Schwäbisch: „grüß Gott“ 👋\n\nSecond paragraph.", "Do not call before 10.",
	}
	userNames = [][2]string{
		{"Ada", "Keller"}, {"Bruno", "Sato"}, {"Carmen", "Ortiz"}, {"Dmitri", "Lund"}, {"Elif", "Aydın"}, {"Fiona", "Byrne"},
		{"Georg", "Müller"}, {"Hana", "Novotná"}, {"Idris", "Cole"}, {"Jonas", "Weiß"}, {"Keiko", "Mori"}, {"Lena", "Fischer"},
	}
	privateContacts = []Fields{
		{"givenName": "Mum", "homePhones": "(555) 010-0101", "personalNotes": "Birthday in May"},
		{"givenName": "Dr.", "surname": "Tooth", "companyName": "Dental practice", "businessPhones": "(555) 010-0177"},
		{"givenName": "Paul", "nickName": "Football Paul", "mobilePhone": "+1 555 010 0199"},
	}
)
